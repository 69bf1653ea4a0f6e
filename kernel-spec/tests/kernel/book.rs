//! Programs of the Rust Book, cell by cell.

use crate::client::{SharedKernel, shared};
use std::time::{Duration, Instant};

fn kernel() -> SharedKernel {
    shared(module_path!())
}

#[test]
fn a_main_alone_is_run() {
    let mut kernel = kernel();
    for (code, printed) in [
        ("fn main() {\n    println!(\"Hello, world!\");\n}", "Hello, world!\n"),
        (
            "use std::collections::HashMap;\n\nfn two() -> u8 { 2 }\n\nfn main() { println!(\"{}\", two()); } // end",
            "2\n",
        ),
        (
            "fn main() -> Result<(), Box<dyn std::error::Error>> { println!(\"{}\", \"3\".parse::<u8>()?); Ok(()) }",
            "3\n",
        ),
        ("fn main() { println!(\"once\"); }\nmain();", "once\n"),
    ] {
        assert_eq!(kernel.run(code).ok().text("stdout"), printed, "{code}");
    }
    let (name, text) =
        kernel.run("fn main() -> Result<(), std::num::ParseIntError> { \"x\".parse::<u8>().map(drop) }").error();
    assert!(name == "Error" && text.contains("invalid digit"), "{name}: {text}");
}

#[test]
fn arithmetic_that_overflows_panics() {
    let mut kernel = kernel();
    let (name, text) = kernel.run("let most = std::hint::black_box(255u8);\nmost + 1").error();
    assert!(name == "Panic" && text.contains("attempt to add with overflow"), "{name}: {text}");
    let (_, text) = kernel.run("std::hint::black_box([200u8, 100]).iter().sum::<u8>()").error();
    assert!(text.contains("overflow"), "{text}");
}

#[test]
fn a_lost_variable_is_said_to_be_lost() {
    let mut kernel = kernel();
    kernel.run("let words = vec![String::from(\"a\")];\nlet kept = 1;").ok();
    kernel.run("let moved_here = words; // moves").ok();
    let (_, text) = kernel.run("words.len()").error();
    for part in ["cannot find value `words`", "was moved by an earlier cell: `let moved_here = words; // moves`"] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    kernel.run("let result: Result<u8, String> = Err(\"no\".into()); result?;").error();
    assert!(kernel.run("result").error().1.contains("defined in a cell that failed"));
    kernel.run("std::process::exit(1)").error();
    assert!(kernel.run("kept").error().1.contains("lost when the process of the cells ended"));
    assert!(!kernel.run("never").error().1.contains("note: `never`"));
}

#[test]
fn an_impl_block_that_is_run_again_replaces_the_earlier_one() {
    let mut kernel = kernel();
    kernel.run("#[derive(Debug)] struct Rectangle { width: u32 }").ok();
    kernel.run("impl Rectangle { fn area(&self) -> u32 { self.width } }").ok();
    kernel.run("impl Rectangle { fn area(&self) -> u32 { 2 * self.width } }").ok();
    kernel.run("impl Rectangle { fn half(&self) -> u32 { self.width / 2 } }").ok();
    assert_eq!(kernel.run("let r = Rectangle { width: 8 };\n(r.area(), r.half())").ok().result(), "(16, 4)");
    for text in ["one", "two"] {
        let block = format!(
            "impl std::fmt::Display for Rectangle {{\n    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {{ write!(f, \"{text}\") }}\n}}"
        );
        kernel.run(&block).ok();
        assert_eq!(kernel.run("r.to_string()").ok().result(), format!("{text:?}"));
    }
    let (_, text) = kernel.run("impl Rectangle {\n    fn area(&self) -> u32 { \"no\" }\n}").error();
    assert!(text.contains("cell:2:29"), "{text}");
    assert_eq!(kernel.run("r.area()").ok().result(), "16", "a block that does not compile replaces nothing");
    kernel.run("struct Square; impl Square { fn side(&self) -> u8 { 1 } }").ok();
    let (_, text) = kernel.run("impl Square { fn side(&self) -> u8 { 2 } }").error();
    assert!(text.contains("into one cell"), "{text}");
}

#[test]
fn statics_keep_their_value_from_cell_to_cell() {
    let mut kernel = kernel();
    let cell = "use std::sync::Mutex;\nuse std::sync::atomic::{AtomicU32, Ordering::SeqCst};\n\
                static COUNTER: AtomicU32 = AtomicU32::new(10);\n\
                static NAMES: Mutex<Vec<String>> = Mutex::new(Vec::new());\n\
                static mut PLAIN: u8 = 1;\n\
                fn next() -> u32 { static CALLS: AtomicU32 = AtomicU32::new(0); CALLS.fetch_add(1, SeqCst) }";
    kernel.run(cell).ok();
    let count = "NAMES.lock()?.push(\"a\".into());\nunsafe { PLAIN += 1; }\n(COUNTER.fetch_add(1, SeqCst), next(), NAMES.lock()?.len(), unsafe { PLAIN })";
    assert_eq!(kernel.run(count).ok().result(), "(10, 0, 1, 2)");
    assert_eq!(kernel.run(count).ok().result(), "(11, 1, 2, 3)");
    assert_eq!(
        kernel
            .run("let stopped: Result<(), String> = Err(\"x\".into()); COUNTER.fetch_add(1, SeqCst); stopped?;")
            .error()
            .0,
        "Error"
    );
    assert_eq!(kernel.run("COUNTER.load(SeqCst)").ok().result(), "13");
    // Defined again, they start again.
    kernel.run(cell).ok();
    assert_eq!(kernel.run(count).ok().result(), "(10, 0, 1, 2)");
    kernel.run("std::process::exit(1)").error();
    assert_eq!(kernel.run(count).ok().result(), "(10, 0, 1, 2)");
    assert_eq!(kernel.run(count).ok().result(), "(11, 1, 2, 3)");
}

#[test]
fn text_of_a_thread_appears_at_once_after_its_cell_has_ended() {
    let mut kernel = kernel();
    let id = kernel.begin(
        "std::thread::spawn(|| { std::thread::sleep(Duration::from_millis(500)); println!(\"late\"); eprintln!(\"too\"); });",
    );
    kernel.end(&id).ok();
    let started = Instant::now();
    let mut printed = Vec::new();
    while printed.len() < 2 {
        let (kind, content) = kernel.next(&id, Duration::from_secs(5)).expect("the text of the thread");
        assert_eq!(kind, "stream");
        printed.push(content["text"].as_str().unwrap().to_owned());
    }
    printed.sort();
    assert_eq!(printed, ["late\n", "too\n"]);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(kernel.run("1").ok().text("stdout"), "");
}

#[test]
fn positions_hold_in_impl_blocks_beside_statics_and_in_threads() {
    let mut kernel = kernel();
    kernel.run("#[derive(Debug)] struct Traced;").ok();
    for last in ["v[6]", "v[7]"] {
        let block = format!("impl Traced {{\n    fn at(&self, v: &[u8]) -> u8 {{\n        {last}\n    }}\n}}");
        let count = kernel.run(&block).ok().reply["execution_count"].clone();
        let (_, text) = kernel.run("Traced.at(&[1])").error();
        assert!(text.contains(&format!("cell [{count}] line 3")) && text.contains(last), "{text}");
    }
    let cell = "use std::sync::Mutex;\nfn before() { dbg!(1); }\nstatic LIMIT: Mutex<u8> = Mutex::new(1);\n\
                fn main() {\n    before();\n    dbg!(*LIMIT.lock().unwrap());\n}";
    let outcome = kernel.run(cell).ok();
    assert_eq!(outcome.text("stderr"), "[cell:2:15] 1 = 1\n[cell:6:5] *LIMIT.lock().unwrap() = 1\n");
    // Here the static is one of an earlier library.
    let earlier = format!("[cell [{}]:2:15] 1 = 1\n", outcome.reply["execution_count"]);
    let outcome = kernel.run("before();\n  dbg!(*LIMIT.lock()?);").ok();
    assert_eq!(outcome.text("stderr"), earlier + "[cell:2:3] *LIMIT.lock()? = 1\n");
    let id =
        kernel.begin("std::thread::spawn(|| {\n    std::thread::sleep(Duration::from_millis(500));\n    dbg!(2);\n});");
    kernel.end(&id).ok();
    let (_, content) = kernel.next(&id, Duration::from_secs(5)).expect("the text of the thread");
    assert_eq!(content["text"], "[cell:3:5] 2 = 2\n");
}
