//! What a person sees of a cell: results, text, pictures, errors.

mod common;

use common::shared;
use std::time::Duration;

#[test]
fn a_result_and_printed_text_arrive_as_such() {
    let mut kernel = shared();
    let outcome = kernel.run("println!(\"hello\");\n1 + 2").ok();
    assert_eq!(outcome.result(), "3");
    assert_eq!(outcome.text("stdout"), "hello\n");
    let outcome = kernel.run("eprintln!(\"oh\");").ok();
    assert_eq!(outcome.text("stderr"), "oh\n");
    assert!(outcome.of("execute_result").is_empty());
}

#[test]
fn cells_are_counted_from_one_without_gaps() {
    // A kernel of its own, for the others share one.
    let mut kernel = common::Client::start();
    for number in 1..=3 {
        let outcome = kernel.run("1").ok();
        assert_eq!(outcome.reply["execution_count"], number);
        assert_eq!(outcome.of("execute_input")[0]["execution_count"], number);
        assert_eq!(outcome.of("execute_result")[0]["execution_count"], number);
    }
}

#[test]
fn text_appears_while_the_cell_runs() {
    let outcome = shared()
        .run(
            r#"for i in 0..3 { println!("step {i}"); std::thread::sleep(std::time::Duration::from_millis(400)); }
               use std::io::Write; print!("no newline"); std::io::stdout().flush().unwrap();
               std::thread::sleep(std::time::Duration::from_millis(400));"#,
        )
        .ok();
    assert_eq!(outcome.text("stdout"), "step 0\nstep 1\nstep 2\nno newline");
    let times: Vec<Duration> =
        outcome.messages.iter().filter(|message| message.kind == "stream").map(|message| message.after).collect();
    assert!(times.len() >= 4, "{times:?}");
    assert!(times[3] - times[0] > Duration::from_millis(1000), "{times:?}");
}

#[test]
fn text_without_a_newline_belongs_to_the_cell_that_printed_it() {
    let mut kernel = shared();
    assert_eq!(kernel.run("print!(\"no newline\");").ok().text("stdout"), "no newline");
    assert_eq!(kernel.run("1").ok().text("stdout"), "");
}

#[test]
fn a_compile_error_is_one_error_in_the_cells_own_lines() {
    let (name, text) = shared().run("let a = 1;\nlet b: u32 = \"text\";").error();
    assert_eq!(name, "CompileError");
    for part in ["mismatched types", "E0308", "cell:2:14", "expected `u32`, found `&str`", "\x1b["] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
}

#[test]
fn a_panic_is_one_error_and_earlier_variables_survive() {
    let mut kernel = shared();
    kernel.run("let kept = 41;").ok();
    let (name, text) = kernel.run("let lost = 1;\npanic!(\"no such {}\", \"stage\");").error();
    assert_eq!(name, "Panic");
    assert!(text.contains("no such stage") && text.contains("cell line 2"), "{text}");
    assert!(!text.contains("RUST_BACKTRACE"), "{text}");
    assert_eq!(kernel.run("kept + 1").ok().result(), "42");
}

#[test]
fn a_question_mark_on_an_error_is_one_error_with_its_message_alone() {
    let mut kernel = shared();
    let outcome = kernel.run("std::fs::read(\"/no/such/file\")?;");
    let (name, text) = outcome.error();
    assert_eq!(name, "Error");
    assert!(text.contains("No such file or directory"), "{text}");
    assert_eq!(outcome.text("stderr"), "");
    kernel.run("1").ok();
}

#[test]
fn after_an_error_the_cells_behind_it_are_not_run() {
    let mut kernel = shared();
    let failing = kernel.begin("std::thread::sleep(std::time::Duration::from_millis(300)); panic!(\"stop\");");
    let behind = kernel.begin("println!(\"must not run\");");
    assert_eq!(kernel.end(&failing).status(), "error");
    let behind = kernel.end(&behind);
    assert_eq!(behind.status(), "aborted");
    assert_eq!(behind.text("stdout"), "");
}

#[test]
fn pictures_appear_and_change_while_the_cell_runs() {
    let outcome = shared()
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
    assert!(changed.after - shown.after > Duration::from_millis(300), "shown while the cell runs");
    assert_eq!(outcome.of("clear_output")[0]["wait"], true);
}

#[test]
fn a_large_picture_is_one_picture() {
    let outcome = shared()
        .run(
            r#"let nonce = std::env::var("METAMERS_LIVE")?;
               let data = "A".repeat(700_000);
               println!("{nonce} {{\"op\":\"display_data\",\"data\":{{\"image/png\":\"{data}\"}},\"metadata\":{{}},\"display_id\":null,\"wait\":false}}");"#,
        )
        .ok();
    assert_eq!(outcome.of("display_data")[0]["data"]["image/png"].as_str().unwrap().len(), 700_000);
    assert_eq!(outcome.text("stdout"), "");
}

#[test]
fn without_the_nonce_nothing_becomes_a_picture() {
    let frame = r#"{"op":"display_data","data":{"text/plain":"forged"}}"#;
    let line = format!("{} {frame}", "0".repeat(32));
    let outcome = shared().run(&format!("println!(\"{{}}\", r#\"{line}\"#);")).ok();
    assert!(outcome.of("display_data").is_empty());
    assert_eq!(outcome.text("stdout"), format!("{line}\n"));
}

#[test]
fn bytes_that_are_no_text_and_many_lines_do_no_harm() {
    let outcome = shared()
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
fn an_editor_is_answered() {
    use jupyter_protocol::{CompleteRequest, IsCompleteRequest};
    let mut kernel = shared();
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
