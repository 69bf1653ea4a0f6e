//! Interrupts, and cells that kill the evaluating process.

use crate::client::{SharedKernel, descendants, shared, until};
use std::time::{Duration, Instant};

const LISTENING: &str = r#"{"op":"listening","on":true}"#;

fn kernel() -> SharedKernel {
    shared(module_path!())
}

#[test]
fn a_second_interrupt_kills_a_cell_that_ignores_the_first() {
    let mut kernel = kernel();
    kernel.run("let lost = 1; fn kept() -> u32 { 7 }").ok();
    let id = kernel.begin("println!(\"running\"); loop { std::thread::sleep(std::time::Duration::from_millis(5)); }");
    kernel.wait_for(&id, "running");
    kernel.interrupt();
    kernel.wait_for(&id, "does not listen");
    kernel.interrupt();
    let started = Instant::now();
    let outcome = kernel.end(&id);
    let (name, text) = outcome.error();
    assert_eq!(name, "Interrupted");
    assert!(text.contains("variables are lost"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(5));
    // The prelude and functions are kept, variables are lost.
    assert_eq!(
        kernel.run("let t = Tensor::ones(2, DType::F32, &Device::Cpu)?; t.elem_count() as u32 + kept()").ok().result(),
        "9"
    );
    assert_eq!(kernel.run("lost").error().0, "CompileError");
}

#[test]
fn a_listening_loop_returns_and_keeps_all_variables() {
    let mut kernel = kernel();
    kernel.run(":dep signal-hook = { version = \"0.4\", default-features = false }").ok();
    kernel.run("let mut steps = 0;").ok();
    let id = kernel.begin(&format!(
        r##"let flag = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
            signal_hook::flag::register(2, flag.clone())?;
            println!("{{}} {{}}", std::env::var("METAMERS_LIVE")?, r#"{LISTENING}"#);
            while !flag.load(std::sync::atomic::Ordering::Relaxed) {{
                steps += 1;
                if steps == 1 {{ println!("running"); }}
                std::thread::sleep(std::time::Duration::from_millis(20));
            }}
            "stopped""##
    ));
    // By then, the kernel has handled the frame that registers the cell as listening.
    kernel.wait_for(&id, "running");
    kernel.interrupt();
    let outcome = kernel.end(&id).ok();
    assert_eq!(outcome.result(), "\"stopped\"");
    assert_eq!(kernel.run("steps > 0").ok().result(), "true");
}

#[test]
fn an_interrupt_ends_a_program_that_a_cell_waits_for() {
    let mut kernel = kernel();
    kernel.run("let kept = 5;").ok();
    let id =
        kernel.begin("println!(\"running\"); std::process::Command::new(\"sleep\").arg(\"600\").status()?.success()");
    kernel.wait_for(&id, "running");
    // Until the program has started.
    std::thread::sleep(Duration::from_millis(500));
    let started = Instant::now();
    kernel.interrupt();
    assert_eq!(kernel.end(&id).ok().result(), "false");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(kernel.run("kept").ok().result(), "5");
}

/// True if the process is rustc compiling a cell.
fn is_compiling_a_cell(pid: u32) -> bool {
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let arguments: Vec<&[u8]> = arguments.split(|&byte| byte == 0).collect();
    arguments[0].ends_with(b"rustc") && arguments.windows(2).any(|pair| pair == [&b"--crate-name"[..], b"ctx"])
}

#[test]
fn an_interrupt_stops_a_build_and_keeps_all_variables() {
    let mut kernel = kernel();
    kernel.run("let kept = 5;").ok();
    let slow = "#[allow(long_running_const_eval)]\n\
                const SLOW: u64 = { let mut i = 0u64; while i < 3_000_000_000 { i += 1; } i };\n\
                println!(\"{}\", SLOW);";
    let id = kernel.begin(slow);
    let pid = kernel.kernel.id();
    until("rustc to compile the cell", Duration::from_secs(60), || {
        descendants(pid).into_iter().any(is_compiling_a_cell)
    });
    kernel.interrupt();
    let started = Instant::now();
    let outcome = kernel.end(&id);
    assert_eq!(outcome.error().0, "Interrupted");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(kernel.run("kept").ok().result(), "5");
}

#[test]
fn the_session_survives_a_cell_that_kills_its_process() {
    let mut kernel = kernel();
    for (code, reason) in [
        ("println!(\"last words\"); std::process::exit(3);", "exit status 3"),
        ("unsafe { std::ptr::null_mut::<u8>().write_volatile(1) }", "segmentation fault"),
        ("std::process::abort();", "aborted"),
        (
            "fn deep(n: u64) -> u64 { 1 + std::hint::black_box(deep(n + 1)) }\nprintln!(\"{}\", deep(0));",
            "stack overflow",
        ),
        ("std::process::Command::new(\"kill\").args([\"-9\", &std::process::id().to_string()]).status()?;", "killed"),
        ("std::alloc::handle_alloc_error(std::alloc::Layout::new::<[u8; 1 << 40]>());", "out of memory"),
    ] {
        let outcome = kernel.run(code);
        let (name, text) = outcome.error();
        assert_eq!(name, "ProcessEnded", "{code}");
        assert!(text.contains(reason) && text.contains("variables are lost"), "{text}");
        assert_eq!(outcome.text("stderr"), "", "more than one message");
        if reason == "exit status 3" {
            assert_eq!(outcome.text("stdout"), "last words\n");
        }
        assert_eq!(kernel.run("Tensor::ones(3, DType::F32, &Device::Cpu)?.elem_count()").ok().result(), "3");
    }
}

#[test]
fn a_process_that_ends_between_two_cells_has_a_reason() {
    let mut kernel = kernel();
    kernel.run("let lost = 1;").ok();
    let exit = "std::thread::spawn(|| { std::thread::sleep(Duration::from_millis(200)); std::process::exit(3) });";
    kernel.run(exit).ok();
    std::thread::sleep(Duration::from_secs(2));
    let (name, text) = kernel.run("lost").error();
    assert_eq!(name, "ProcessEnded");
    assert!(text.contains("had ended before this cell ran: exit status 3"), "{text}");
    assert_eq!(kernel.run("1").ok().result(), "1");
}

/// True if the process exists and is not a zombie.
fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
}

#[test]
fn programs_end_with_the_process_of_the_cell_that_started_them() {
    let mut kernel = kernel();
    let start = "std::process::Command::new(\"sleep\").arg(\"600\").spawn()?.id()";
    for end in ["std::process::abort();", ":restart"] {
        let pid = kernel.run(start).ok().result().to_owned();
        assert!(is_running(&pid), "{pid}");
        kernel.run(end);
        until("the program to end", Duration::from_secs(20), || !is_running(&pid));
        assert_eq!(kernel.run("1").ok().result(), "1");
    }
}

#[test]
fn an_interrupt_between_cells_has_no_effect() {
    let mut kernel = kernel();
    kernel.run("let here = 1;").ok();
    kernel.interrupt();
    assert_eq!(kernel.run("here").ok().result(), "1");
}

#[test]
fn twenty_interrupts_at_random_times_keep_all_variables() {
    let mut kernel = kernel();
    kernel
        .run("let kept = 7; let trained = zoo::efficientnet_lite0()?; let photo = Image::open(\"photos/dog.jpg\")?;")
        .ok();
    // A recipe that does not finish during the test.
    kernel.run("let recipe = Recipe::feather2023().steps(1_000_000);").ok();
    kernel.run("let mut run = Synthesis::new(&trained, \"stem\", &photo)?.recipe(recipe).seed(1).start()?;").ok();
    // A linear congruential generator, for the same delays in every run.
    let mut seed = 12345u64;
    let (mut returned, mut stopped, mut steps) = (0, 0, 0);
    for round in 0..20 {
        let id = kernel.begin("run.run_for(Duration::from_secs(60))?;");
        // Every other interrupt comes after the first image, so that it hits the synthesis even on a slow machine.
        let in_synthesis = round % 2 == 1;
        if in_synthesis {
            kernel.wait_for_kind(&id, "display_data");
        }
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        std::thread::sleep(Duration::from_millis((seed >> 33) % 1500));
        kernel.interrupt();
        let started = Instant::now();
        let outcome = kernel.end(&id);
        assert!(started.elapsed() < Duration::from_secs(10), "round {round}: {:?}", started.elapsed());
        match outcome.status() {
            "ok" => returned += 1,
            _ => {
                assert!(!in_synthesis, "round {round}: {:?}", outcome.messages);
                assert_eq!(outcome.error().0, "Interrupted", "round {round}");
                stopped += 1;
            }
        }
        assert_eq!(kernel.run("kept").ok().result(), "7", "round {round}");
        let now: u64 = kernel.run("run.steps()").ok().result().parse().unwrap();
        assert!(now >= steps && (now > steps || !in_synthesis), "round {round}: {now} steps, and {steps} before");
        steps = now;
    }
    println!("{returned} cells returned early, {stopped} were stopped while compiling, {steps} steps in total");
    assert!(returned >= 10, "only {returned} of 20 interrupts hit the synthesis");
}
