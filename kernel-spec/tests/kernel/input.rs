//! Cells that read stdin.

use crate::client::{SharedKernel, shared};
use std::time::{Duration, Instant};

fn kernel() -> SharedKernel {
    shared(module_path!())
}

/// The guessing game of the Rust Book, with a fixed number.
const GUESSING_GAME: &str = r#"
use std::cmp::Ordering;
use std::io;

fn main() {
    println!("Guess the number!");
    let secret_number = 50;
    loop {
        println!("Please input your guess.");
        let mut guess = String::new();
        io::stdin().read_line(&mut guess).expect("Failed to read line");
        let guess: u32 = match guess.trim().parse() {
            Ok(num) => num,
            Err(_) => continue,
        };
        println!("You guessed: {guess}");
        match guess.cmp(&secret_number) {
            Ordering::Less => println!("Too small!"),
            Ordering::Greater => println!("Too big!"),
            Ordering::Equal => {
                println!("You win!");
                break;
            }
        }
    }
}"#;

#[test]
fn the_guessing_game_asks_until_the_number_is_found() {
    let mut kernel = kernel();
    let id = kernel.begin(GUESSING_GAME);
    for guess in ["9", "none", "99", "50"] {
        assert_eq!(kernel.wait_for_input_request(), "");
        kernel.answer(guess);
    }
    let ask = "Please input your guess.\n";
    let expected = format!(
        "Guess the number!\n{ask}You guessed: 9\nToo small!\n{ask}{ask}You guessed: 99\nToo big!\n{ask}You guessed: 50\nYou win!\n"
    );
    assert_eq!(kernel.end(&id).ok().text("stdout"), expected);
}

#[test]
fn a_read_gets_the_line_and_the_prompt_appears_before_it() {
    let mut kernel = kernel();
    let read_line = "let mut line = String::new(); std::io::stdin().read_line(&mut line)?; line";
    for (code, typed, result) in [
        (format!("print!(\"Your name? \"); {read_line}"), "Ada", "\"Ada\\n\""),
        (format!("eprint!(\"Your name? \"); {read_line}"), "", "\"\\n\""),
        (format!("print!(\"Your name? \"); {read_line}"), "LOAD_AND_RUN a b", "\"LOAD_AND_RUN a b\\n\""),
        (
            "{ use std::io::Write; let mut out = std::io::stdout().lock(); write!(out, \"Your name? \")?; } \
             std::thread::spawn(|| std::io::stdin().lines().next().unwrap().unwrap()).join().unwrap()"
                .to_owned(),
            "Größe",
            "\"Größe\"",
        ),
    ] {
        let id = kernel.begin(&code);
        assert_eq!(kernel.wait_for_input_request(), "", "{code}");
        kernel.wait_for(&id, "Your name? ");
        kernel.answer(typed);
        assert_eq!(kernel.end(&id).ok().result(), result, "{code}");
    }
    // What is left of a line is read first.
    let id =
        kernel.begin("use std::io::Read; let mut byte = [0u8; 1]; std::io::stdin().read_exact(&mut byte)?; byte[0]");
    kernel.wait_for_input_request();
    kernel.answer("ab");
    assert_eq!(kernel.end(&id).ok().result(), "97");
    assert_eq!(kernel.run(read_line).ok().result(), "\"b\\n\"");
}

#[test]
fn without_input_a_read_finds_the_end_of_the_file() {
    let mut kernel = kernel();
    let id = kernel.begin_without_stdin("let mut line = String::new(); std::io::stdin().read_line(&mut line)?");
    let outcome = kernel.end(&id).ok();
    assert_eq!(outcome.result(), "0");
    assert!(outcome.text("stderr").contains("the front end provides no input"), "{:?}", outcome.messages);
    // A loop that asks until the input is valid ends too.
    let id = kernel.begin_without_stdin(GUESSING_GAME);
    let outcome = kernel.end(&id);
    assert!(outcome.error().1.contains("Failed to read line"), "{:?}", outcome.error());
    assert_eq!(outcome.text("stderr").matches("warning").count(), 1, "{:?}", outcome.text("stderr"));
}

#[test]
fn an_interrupt_ends_a_read_and_keeps_all_variables() {
    let mut kernel = kernel();
    kernel.run("let kept = 7;").ok();
    for code in [GUESSING_GAME, "for line in std::io::stdin().lines() { println!(\"{}\", line?); }"] {
        let id = kernel.begin(code);
        kernel.wait_for_input_request();
        kernel.interrupt();
        let started = Instant::now();
        let outcome = kernel.end(&id);
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        let (name, text) = outcome.error();
        assert!(name == "Interrupted" && text.contains("while it waited for input"), "{name}: {text}");
        assert_eq!(kernel.run("kept").ok().result(), "7");
    }
}

#[test]
fn a_program_that_a_cell_starts_finds_the_end_of_the_file() {
    let mut kernel = kernel();
    assert_eq!(kernel.run("std::process::Command::new(\"cat\").status()?.success()").ok().result(), "true");
    assert_eq!(kernel.run("1 + 1").ok().result(), "2");
}
