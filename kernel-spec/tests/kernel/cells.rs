//! Output of cells: results, text, images, errors.

use crate::client::{Client, SharedKernel, proc_status, shared, turn};
use std::time::Duration;

fn kernel() -> SharedKernel {
    shared(module_path!())
}

#[test]
fn results_and_printed_text_are_separate_messages() {
    let mut kernel = kernel();
    let outcome = kernel.run("println!(\"hello\");\n1 + 2").ok();
    assert_eq!(outcome.result(), "3");
    assert_eq!(outcome.text("stdout"), "hello\n");
    let outcome = kernel.run("eprintln!(\"oh\");").ok();
    assert_eq!(outcome.text("stderr"), "oh\n");
    assert!(outcome.contents("execute_result").is_empty());
}

#[test]
fn cells_are_counted_from_one_without_gaps() {
    let _turn = turn();
    // A new kernel, because the shared one has counted other cells.
    let mut kernel = Client::start();
    for number in 1..=3 {
        let outcome = kernel.run("1").ok();
        assert_eq!(outcome.reply["execution_count"], number);
        assert_eq!(outcome.contents("execute_input")[0]["execution_count"], number);
        assert_eq!(outcome.contents("execute_result")[0]["execution_count"], number);
    }
}

#[test]
fn text_appears_while_the_cell_runs() {
    let outcome = kernel()
        .run(
            r#"for i in 0..3 { println!("step {i}"); std::thread::sleep(std::time::Duration::from_millis(400)); }
               use std::io::Write; print!("no newline"); std::io::stdout().flush().unwrap();
               std::thread::sleep(std::time::Duration::from_millis(600));
               eprintln!("end");"#,
        )
        .ok();
    assert_eq!(outcome.text("stdout"), "step 0\nstep 1\nstep 2\nno newline");
    let (first, partial, end) = (outcome.when("step 0"), outcome.when("no newline"), outcome.when("end"));
    assert!(partial - first > Duration::from_millis(1000), "{first:?} {partial:?}");
    assert!(
        end - partial > Duration::from_millis(400),
        "the partial line was delayed: {partial:?}, and {end:?} at the end"
    );
}

/// Rust buffers text without a newline; progress must be visible all the same.
#[test]
fn text_without_a_newline_or_flush_appears_promptly() {
    let outcome = kernel()
        .run(
            r#"for percent in [10, 20] { print!("\r{percent} %"); std::thread::sleep(Duration::from_millis(600)); }
               eprintln!("end");"#,
        )
        .ok();
    assert_eq!(outcome.text("stdout"), "\r10 %\r20 %");
    let (first, second, end) = (outcome.when("10 %"), outcome.when("20 %"), outcome.when("end"));
    assert!(second - first > Duration::from_millis(400), "{first:?} {second:?}");
    assert!(end - second > Duration::from_millis(400), "{second:?}, and {end:?} at the end");
}

/// Without a pause in the output, too.
#[test]
fn a_line_that_is_written_all_the_time_appears_while_it_grows() {
    let outcome = kernel()
        .run(
            r#"use std::io::Write;
               for i in 0..100 { print!("\r{i} %"); std::io::stdout().flush()?; std::thread::sleep(Duration::from_millis(10)); }
               eprintln!("end");"#,
        )
        .ok();
    let expected: String = (0..100).map(|i| format!("\r{i} %")).collect();
    assert_eq!(outcome.text("stdout"), expected);
    let (first, last) = (outcome.when("\r0 %"), outcome.when("\r99 %"));
    assert!(last > first, "all of it came in one message");
}

#[test]
fn the_environment_can_be_printed_without_a_newline() {
    let outcome = kernel().run("print!(\"{:?}\", std::env::vars().collect::<Vec<_>>());").ok();
    assert!(outcome.text("stdout").contains("METAMERS_LIVE"), "{}", outcome.text("stdout"));
}

#[test]
fn text_without_a_newline_belongs_to_the_cell_that_printed_it() {
    let mut kernel = kernel();
    assert_eq!(kernel.run("print!(\"no newline\");").ok().text("stdout"), "no newline");
    assert_eq!(kernel.run("1").ok().text("stdout"), "");
}

#[test]
fn a_compile_error_is_reported_in_the_lines_of_the_cell() {
    let (name, text) = kernel().run("let a = 1;\nlet b: u32 = \"text\";").error();
    assert_eq!(name, "CompileError");
    for part in ["mismatched types", "E0308", "cell:2:14", "expected `u32`, found `&str`", "\x1b["] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
}

#[test]
fn a_panic_is_one_error_and_earlier_variables_survive() {
    let mut kernel = kernel();
    kernel.run("let kept = 41;").ok();
    let (name, text) = kernel.run("let lost = 1;\npanic!(\"no such {}\", \"stage\");").error();
    assert_eq!(name, "Panic");
    assert!(text.contains("no such stage") && text.contains("cell line 2"), "{text}");
    assert!(!text.contains("RUST_BACKTRACE"), "{text}");
    assert_eq!(kernel.run("kept + 1").ok().result(), "42");
}

#[test]
fn an_error_returned_by_the_question_mark_shows_only_its_message() {
    let mut kernel = kernel();
    let outcome = kernel.run("std::fs::read(\"/no/such/file\")?;");
    let (name, text) = outcome.error();
    assert_eq!(name, "Error");
    assert!(text.contains("No such file or directory"), "{text}");
    assert_eq!(outcome.text("stderr"), "");
    kernel.run("1").ok();
}

#[test]
fn candle_and_library_errors_show_only_their_message() {
    let mut kernel = kernel();
    for (code, part) in [
        ("Tensor::ones(6, DType::F32, &Device::Cpu)?.reshape((4, 4))?", "shape"),
        ("Image::open(\"no-such-photo.jpg\")?", "no-such-photo.jpg"),
    ] {
        let outcome = kernel.run(code);
        let (name, text) = outcome.error();
        assert_eq!(name, "Error");
        assert!(text.contains(part), "{text}");
        assert!(text.lines().count() <= 2 && !text.contains("backtrace") && !text.contains("::"), "{text}");
        assert_eq!(outcome.text("stderr"), "");
    }
}

#[test]
fn a_compile_error_includes_its_help() {
    let (_, text) = kernel().run("let numbers = vec![3, 1, 2];\nnumbers.sort();\nnumbers.push_one(4);").error();
    assert!(text.contains("cell:3:9") && text.contains("push_one"), "{text}");
    let (_, text) = kernel().run("let name = \"a\".to_strin();").error();
    assert!(text.contains("to_string") && text.contains("help"), "{text}");
}

#[test]
fn queued_cells_are_aborted_after_an_error() {
    let mut kernel = kernel();
    let failing = kernel.begin("std::thread::sleep(std::time::Duration::from_millis(300)); panic!(\"stop\");");
    let queued = kernel.begin("println!(\"must not run\");");
    assert_eq!(kernel.end(&failing).status(), "error");
    let queued = kernel.end(&queued);
    assert_eq!(queued.status(), "aborted");
    assert_eq!(queued.text("stdout"), "");
}

#[test]
fn images_appear_and_change_while_the_cell_runs() {
    let outcome = kernel()
        .run(
            r##"let nonce = std::env::var("METAMERS_LIVE")?;
               println!("before");
               print!("same line ");
               println!("{nonce} {}", r#"{"op":"display_data","data":{"text/plain":"first"},"metadata":{"image/png":{"width":3}},"display_id":"d1","wait":false}"#);
               std::thread::sleep(std::time::Duration::from_millis(500));
               println!("{nonce} {}", r#"{"op":"update_display_data","data":{"text/plain":"second"},"metadata":{},"display_id":"d1","wait":false}"#);
               println!("{nonce} {}", r#"{"op":"clear_output","data":{},"metadata":{},"display_id":null,"wait":true}"#);
               println!("after");"##,
        )
        .ok();
    let mut kinds: Vec<&str> = outcome.messages.iter().map(|message| message.kind.as_str()).collect();
    kinds.dedup();
    assert_eq!(
        kinds,
        ["status", "execute_input", "stream", "display_data", "update_display_data", "clear_output", "stream"]
    );
    assert_eq!(outcome.text("stdout"), "before\nsame line after\n");
    let find = |kind| outcome.messages.iter().find(|message| message.kind == kind).unwrap();
    let (shown, changed) = (find("display_data"), find("update_display_data"));
    assert_eq!(shown.content["data"]["text/plain"], "first");
    assert_eq!(shown.content["metadata"]["image/png"]["width"], 3);
    assert_eq!(shown.content["transient"]["display_id"], "d1");
    assert_eq!(changed.content["transient"]["display_id"], "d1");
    assert!(changed.after - shown.after > Duration::from_millis(300), "not shown while the cell runs");
    assert_eq!(outcome.contents("clear_output")[0]["wait"], true);
}

#[test]
fn a_large_image_arrives_in_one_piece() {
    let outcome = kernel()
        .run(
            r#"let nonce = std::env::var("METAMERS_LIVE")?;
               let data = "A".repeat(700_000);
               println!("{nonce} {{\"op\":\"display_data\",\"data\":{{\"image/png\":\"{data}\"}},\"metadata\":{{}},\"display_id\":null,\"wait\":false}}");"#,
        )
        .ok();
    assert_eq!(outcome.contents("display_data")[0]["data"]["image/png"].as_str().unwrap().len(), 700_000);
    assert_eq!(outcome.text("stdout"), "");
}

#[test]
fn frames_without_the_nonce_are_text() {
    let frame = r#"{"op":"display_data","data":{"text/plain":"forged"}}"#;
    let line = format!("{} {frame}", "0".repeat(32));
    let outcome = kernel().run(&format!("println!(\"{{}}\", r#\"{line}\"#);")).ok();
    assert!(outcome.contents("display_data").is_empty());
    assert_eq!(outcome.text("stdout"), format!("{line}\n"));
}

#[test]
fn invalid_utf8_and_many_lines_are_shown() {
    let outcome = kernel()
        .run(
            r#"use std::io::Write;
               std::io::stdout().write_all(b"\xff\xfe\n").unwrap();
               for i in 0..20_000 { println!("line {i}"); }
               println!("EVCXR_BEGIN_CONTENT is a word");"#,
        )
        .ok();
    let text = outcome.text("stdout");
    assert!(text.starts_with("\u{fffd}\u{fffd}\nline 0\n"), "{}", &text[..60]);
    assert!(text.ends_with("line 19999\nEVCXR_BEGIN_CONTENT is a word\n"));
}

#[test]
fn completion_and_is_complete_requests_are_answered() {
    use jupyter_protocol::{CompleteRequest, IsCompleteRequest};
    let mut kernel = kernel();
    kernel.run("let some_long_name = String::new();").ok();
    let id = kernel.send(CompleteRequest { code: "some_long_name.push".into(), cursor_pos: 19 });
    kernel.collect(&id, Duration::from_secs(60)).unwrap();
    let reply = kernel.reply(&id);
    assert!(reply["matches"].to_string().contains("push_str"), "{reply}");
    for (code, status) in [("1 + 1", "complete"), ("fn f() {", "incomplete"), ("fn f() ]", "invalid")] {
        let id = kernel.send(IsCompleteRequest { code: code.into() });
        assert_eq!(kernel.reply(&id)["status"], status, "{code}");
    }
}

#[test]
fn a_rich_value_is_displayed_even_if_its_display_moves_a_variable() {
    let mut kernel = kernel();
    kernel.run("fn first(one: Table, _other: Table) -> Table { one }").ok();
    kernel.run("let one = Table::new([\"a\"]).row([\"1\"]);\nlet two = one.clone();").ok();
    let outcome = kernel.run("first(one, two) // moves both").ok();
    assert!(outcome.contents("display_data")[0]["data"]["text/html"].is_string(), "{:?}", outcome.messages);
    assert!(outcome.contents("execute_result").is_empty(), "{:?}", outcome.messages);
    assert!(kernel.run("one").error().1.contains("cannot find value `one`"));
}

#[test]
fn values_are_displayed_with_debug_and_unit_is_not_displayed() {
    let mut kernel = kernel();
    assert_eq!(kernel.run("\"text\"").ok().result(), "\"text\"");
    assert_eq!(kernel.run("&[1.5f32, 2.]").ok().result(), "[1.5, 2.0]");
    for code in ["println!(\"x\")", "for _ in 0..2 {}", "let mut a = 1;\na = 2"] {
        assert!(kernel.run(code).ok().contents("execute_result").is_empty(), "{code}");
    }
    assert_eq!(kernel.run("panic!(\"at the end\")").error().0, "Panic");
    let (_, text) = kernel.run("struct Plain;\nPlain").error();
    assert!(text.contains("`Plain` does not implement `Debug`") && text.contains("derive"), "{text}");
    let (_, text) = kernel.run("let x = 1u8;\nx + \"one\"").error();
    assert!(text.contains("cell:2:3") && !text.contains("evcxr"), "{text}");
}

#[test]
fn clear_keeps_the_prelude() {
    let mut kernel = kernel();
    kernel.run("let gone = 1;").ok();
    kernel.run(":clear").ok();
    assert_eq!(kernel.run("Tensor::ones(2, DType::F32, &Device::Cpu)?.elem_count()").ok().result(), "2");
    assert_eq!(kernel.run("gone").error().0, "CompileError");
}

#[test]
fn a_cell_goes_on_after_clear_and_restart() {
    let mut kernel = kernel();
    kernel.run("let gone = 1;\nstatic COUNT: std::sync::Mutex<u32> = std::sync::Mutex::new(0);").ok();
    kernel.run("*COUNT.lock().unwrap() += 1;").ok();
    let define = |n: u32| format!("let stays = Tensor::ones({n}, DType::F32, &Device::Cpu)?; stays.elem_count()");
    let outcome = kernel.run(&format!(":restart // all\n{}", define(2))).ok();
    assert!(outcome.result().contains("restarted") && outcome.result().ends_with('2'), "{}", outcome.result());
    assert_eq!(kernel.run("(stays.elem_count(), *COUNT.lock().unwrap())").ok().result(), "(2, 0)");
    let (_, text) = kernel.run("gone").error();
    assert!(text.contains("`gone` was lost when `:restart` was run"), "{text}");
    let outcome = kernel.run(&format!(":vars\n:clear // all\n// 1\n:vars\n{}", define(3))).ok();
    assert!(outcome.result().contains("stays") && outcome.result().ends_with('3'), "{}", outcome.result());
    assert_eq!(kernel.run("stays.elem_count()").ok().result(), "3");
    let (_, text) = kernel.run(":clear\n\nlet a: u32 = \"text\";").error();
    assert!(text.contains("cell:3:14") && text.contains("let a"), "{text}");
    let (_, text) = kernel.run("stays").error();
    assert!(text.contains("`stays` was lost when `:clear` was run"), "{text}");
    // A line of code is no command.
    kernel.run("let kept = \"\n:clear\n\";").ok();
    assert_eq!(kernel.run("kept.len()").ok().result(), "8");
    // An analysis carries out no command.
    for code in [":restart\nkept", ":clear\nkept"] {
        let id = kernel.send(jupyter_protocol::CompleteRequest { code: code.into(), cursor_pos: code.len() });
        kernel.collect(&id, Duration::from_secs(60)).unwrap();
        kernel.reply(&id);
    }
    assert_eq!(kernel.run("kept.len()").ok().result(), "8");
}

#[test]
fn commands_show_their_output() {
    let mut kernel = kernel();
    let (_, text) = kernel.run("!echo one; echo two >&2; exit 3").error();
    assert!(["exit status: 3", "one", "two"].iter().all(|part| text.contains(part)), "{text}");
    kernel.run("let list: Vec<u8> = vec![1];").ok();
    let outcome = kernel.run(":type list").ok();
    let data = &outcome.contents("execute_result")[0]["data"];
    assert!(data["text/plain"].as_str().unwrap().contains("Vec<u8>"), "{data}");
    assert!(data["text/html"].as_str().unwrap().contains("Vec&lt;u8&gt;"), "{data}");
    assert!(kernel.run(":timing\n1").ok().text("stdout").contains("Took "));
    assert_eq!(kernel.run(":timing\n1").ok().text("stdout"), "");
}

#[test]
fn a_local_crate_that_changes_is_compiled_again() {
    let mut kernel = kernel();
    let dir = tempfile::tempdir().unwrap();
    let write = |text: &str| std::fs::write(dir.path().join("src/lib.rs"), text).unwrap();
    std::fs::create_dir(dir.path().join("src")).unwrap();
    let manifest = "[package]\nname = \"of-a-user\"\nversion = \"1.0.0\"\nedition = \"2024\"\n";
    std::fs::write(dir.path().join("Cargo.toml"), manifest).unwrap();
    write("pub fn value() -> u32 { 1 }");
    kernel.run(&format!(":dep of-a-user = {{ path = {:?} }}", dir.path().display().to_string())).ok();
    assert_eq!(kernel.run("let kept = 5u32; of_a_user::value()").ok().result(), "1");
    write("pub fn value() -> u32 { 2 }\npub fn list() -> Vec<u8> { vec![7] }");
    let outcome = kernel.run("let list = of_a_user::list(); (of_a_user::value(), list.len())").ok();
    assert_eq!(outcome.result(), "(2, 1)");
    assert!(outcome.text("stderr").contains("a local crate has changed"), "{:?}", outcome.text("stderr"));
    write("pub fn value() -> u32 { 3 +");
    assert_eq!(kernel.run("of_a_user::value()").status(), "error");
    write("pub fn value() -> u32 { 3 }");
    assert_eq!(kernel.run("of_a_user::value() + kept").ok().result(), "8");
    let outcome = kernel.run("of_a_user::value()").ok();
    assert_eq!((outcome.result(), outcome.text("stderr").as_str()), ("3", ""));
    // So are files outside `src` that its code includes.
    let included = dir.path().join("data.txt");
    std::fs::write(&included, "7").unwrap();
    write("pub fn value() -> u32 { include_str!(\"../data.txt\").parse().unwrap() }");
    assert_eq!(kernel.run("of_a_user::value()").ok().result(), "7");
    std::fs::write(&included, "8").unwrap();
    assert_eq!(kernel.run("of_a_user::value()").ok().result(), "8");
}

#[test]
fn ten_thousand_lines_per_second_arrive_while_they_are_printed() {
    let outcome = kernel()
        .run(
            r#"let started = std::time::Instant::now();
               for second in 0..20 {
                   for line in 0..1000 { println!("{second} {line}"); }
                   std::thread::sleep((started + Duration::from_millis(100 * (second + 1))).saturating_duration_since(std::time::Instant::now()));
               }
               println!("took {}", started.elapsed().as_millis());"#,
        )
        .ok();
    let text = outcome.text("stdout");
    assert_eq!(text.lines().count(), 20_001);
    let took: u64 = text.lines().last().unwrap().strip_prefix("took ").unwrap().parse().unwrap();
    assert!(took < 6000, "printing 20,000 lines took {took} ms instead of 2000");
    let streams: Vec<Duration> =
        outcome.messages.iter().filter(|message| message.kind == "stream").map(|message| message.after).collect();
    assert!(
        *streams.last().unwrap() - streams[0] > Duration::from_millis(1200),
        "the text did not arrive while it was printed"
    );
}

#[test]
fn output_that_no_front_end_reads_waits_in_the_cell() {
    let mut kernel = kernel();
    kernel.run("let line = \"x\".repeat((1 << 16) - 1);").ok();
    let pid = kernel.kernel.id();
    let before = proc_status(pid, "VmRSS:");
    let id = kernel.begin("println!(\"begun\"); for _ in 0..3000 { println!(\"{line}\"); }");
    let seen = kernel.wait_for(&id, "begun\n").len();
    std::thread::sleep(Duration::from_secs(4));
    let megabytes = proc_status(pid, "VmRSS:").saturating_sub(before) >> 10;
    assert_eq!(seen + kernel.end(&id).ok().text("stdout").len(), "begun\n".len() + (3000 << 16));
    // The queues hold about 50.
    assert!(megabytes < 120, "the kernel holds {megabytes} MB of 188");
}

#[test]
fn a_cell_that_closes_or_redirects_stdout_ends() {
    let mut kernel = kernel();
    let functions = "pub fn close(fd: i32) -> i32; pub fn dup(fd: i32) -> i32; pub fn dup2(from: i32, to: i32) -> i32;";
    kernel.run(&format!("mod descriptors {{ unsafe extern \"C\" {{ {functions} }} }}")).ok();
    kernel.run("unsafe { descriptors::close(1) };").ok();
    assert_eq!(kernel.run("println!(\"after\");").ok().text("stdout"), "after\n");
    // Its failure is reported all the same, so that the next cell does not miss its variables.
    let (name, text) = kernel.run("let unkept = 1; unsafe { descriptors::close(1) };\npanic!(\"no stdout\");").error();
    assert!(name == "Panic" && text.contains("no stdout"), "{name}: {text}");
    assert_eq!(kernel.run("println!(\"after\");").ok().text("stdout"), "after\n");
    let redirect = "let saved = unsafe { descriptors::dup(1) };\n\
        { let null = std::fs::File::create(\"/dev/null\")?;\n\
        unsafe { descriptors::dup2(std::os::fd::AsRawFd::as_raw_fd(&null), 1) }; }";
    kernel.run(redirect).ok();
    assert_eq!(kernel.run("println!(\"hidden\");").ok().text("stdout"), "");
    let (name, text) = kernel.run("let unkept = 1; std::fs::read(\"/no/such/file\")?;").error();
    assert!(name == "Error" && text.contains("No such file"), "{name}: {text}");
    let restore = "unsafe { descriptors::dup2(saved, 1) }; println!(\"shown\");";
    assert_eq!(kernel.run(restore).ok().text("stdout"), "shown\n");
}

#[test]
fn printed_markers_of_evcxr_are_text() {
    let mut kernel = kernel();
    kernel.run("let marked = 41;").ok();
    for line in [
        "EVCXR_EXECUTION_COMPLETE",
        "so EVCXR_EXECUTION_COMPLETE",
        "EVCXR_PANIC_NOTIFICATION",
        "EVCXR_ERROR_OCCURRED",
        "EVCXR_VARIABLE_CHANGED_TYPE:marked",
        "EVCXR_INPUT_REQUEST:x",
        "EVCXR_BEGIN_CONTENT text/plain",
        "00000000000000000000000000000000 EVCXR_EXECUTION_COMPLETE",
    ] {
        let outcome = kernel.run(&format!("println!(\"{{}}\", {line:?}); let printed = {line:?}; printed.len()")).ok();
        assert_eq!((outcome.text("stdout"), outcome.result()), (format!("{line}\n"), line.len().to_string().as_str()));
        // Neither the next result nor a variable is lost.
        assert_eq!(kernel.run("printed").ok().result(), format!("{line:?}"));
        assert_eq!(kernel.run("marked + 1").ok().result(), "42");
    }
    let block = "EVCXR_BEGIN_CONTENT text/html\\n<b>bold</b>\\nEVCXR_END_CONTENT";
    let outcome = kernel.run(&format!("println!(\"{block}\");")).ok();
    assert_eq!(outcome.contents("execute_result")[0]["data"]["text/html"], "<b>bold</b>");
}

/// Deep expressions used to overflow a stack of the kernel, which ended it with all variables.
#[test]
fn large_cells_are_run_or_rejected() {
    let mut kernel = kernel();
    kernel.run("let before = 41;").ok();
    let repeated = |start: &str, unit: &str, count: usize, end: &str| format!("{start}{}{end}", unit.repeat(count));
    let nested = |count: usize| format!("{}1{}", "(".repeat(count), ")".repeat(count));
    for (code, expected) in [
        (nested(3000), "1"),
        (repeated("1", " + 1", 3000, ""), "3001"),
        (repeated("1u32", ".wrapping_add(1)", 3000, ""), "3001"),
        (repeated("vec![", "7u8, ", 50_000, "].len()"), "50000"),
    ] {
        assert_eq!(kernel.run(&code).ok().result(), expected, "{}", &code[..30]);
    }
    // Cells with statics are parsed once more, to share them with later cells.
    kernel.run(&format!("static DEEP: u32 = {};\nfn deep() -> u32 {{ DEEP }}", nested(3000))).ok();
    assert_eq!(kernel.run("deep()").ok().result(), "1");
    for code in [nested(20_000), nested(1_000_000), repeated("1", " + 1", 20_000, ""), "[".repeat(1_000_000)] {
        let (name, text) = kernel.run(&code).error();
        assert!(name == "CompileError" && text.contains("at most 12000"), "{text}");
        let id = kernel.send(jupyter_protocol::IsCompleteRequest { code });
        assert_eq!(kernel.reply(&id)["status"], "complete");
    }
    assert_eq!(kernel.run("before + 1").ok().result(), "42");
}

#[test]
fn a_warning_is_neither_an_error_nor_shown_before_one() {
    let mut kernel = kernel();
    kernel.run("macro_rules! unused_here { ($e:expr) => { $e * 2 } }").ok();
    for code in
        ["let text: u32 = \"text\";", "let unused = 1;\nlet text: u32 = \"text\";", "fn Bad_Name() {}\nundefined_name"]
    {
        let outcome = kernel.run(code);
        let (_, text) = outcome.error();
        let message = outcome.contents("error")[0]["evalue"].as_str().unwrap().to_owned();
        assert!(message.contains("mismatched types") || message.contains("cannot find value"), "{message}");
        assert!(!text.contains("unused") || code.contains("let unused"), "{text}");
        assert!(!text.contains("warning") && !text.contains("never used"), "{text}");
    }
}

#[test]
fn positions_and_names_in_messages_are_those_of_cells() {
    let mut kernel = kernel();
    let printed = kernel.run("let v = 5;\n\n    dbg!(v + 1); dbg!(v);\ndbg!(v);").ok().text("stderr");
    assert_eq!(printed, "[cell:3:5] v + 1 = 6\n[cell:3:18] v = 5\n[cell:4:1] v = 5\n");
    let defined = kernel.run("fn traced(v: &[u8]) -> u8 {\n    dbg!(v.len());\n    v[7]\n}").ok();
    let count = &defined.reply["execution_count"];
    // The error includes what was printed just before.
    let (_, text) = kernel.run("// first\ntraced(&[1])").error();
    assert!(text.contains(&format!("[cell [{count}]:2:5] v.len() = 1")), "{text}");
    assert!(text.contains(&format!("cell [{count}] line 3")) && text.contains("v[7]"), "{text}");
    let threads = "std::thread::spawn(|| {\n    panic!(\"in a thread\")\n}).join().is_err()";
    let outcome = kernel.run(threads).ok();
    assert!(outcome.text("stderr").contains("panicked at cell:2:5:\nin a thread\n"), "{:?}", outcome.text("stderr"));
    assert!(!outcome.text("stderr").contains("RUST_BACKTRACE"));
    kernel.run("struct Named { first: u8 }\nfn use_named(named: Named) -> u8 {\n    named.first\n}").ok();
    let (_, text) = kernel.run("struct Named { second: u8 }").error();
    assert!(text.contains("named.first") && text.contains("no field `first`"), "{text}");
    for code in
        ["let y = 5", "None?", "struct P;\nErr(P)?;", "\"unclosed", "let closure = |x: u8| x;", "use nothing::here;"]
    {
        let (_, text) = kernel.run(code).error();
        for name in ["evcxr", "Evcxr", "lib.rs", "run_user_code"] {
            assert!(!text.contains(name), "{name} in the message for {code}:\n{text}");
        }
    }
}
