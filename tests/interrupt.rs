//! Interrupts of runs, null distributions and reproductions, in a separate binary because a signal reaches the whole process.
#![cfg(unix)]

use metamers::prelude::*;
use metamers::synthesis::StopReason;
use signal_hook::consts::SIGINT;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Held by each test, so that they run one after the other.
static SERIAL: Mutex<()> = Mutex::new(());

fn interrupt_after(milliseconds: u64) -> JoinHandle<()> {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(milliseconds));
        let pid = std::process::id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    })
}

fn plan(net: &Network) -> Synthesis {
    let photo = Image::open("photos/dog.jpg").unwrap();
    Synthesis::new(net, "stem", &photo).unwrap().recipe(Recipe::feather2023().steps(100_000_000)).quiet()
}

#[test]
fn an_interrupt_ends_the_call_and_the_run_can_continue() {
    let _serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
    let mut run = plan(&zoo::efficientnet_lite0().unwrap()).start().unwrap();
    let signal = interrupt_after(500);
    let progress = run.run().unwrap();
    signal.join().unwrap();
    assert_eq!(progress.stop_reason, StopReason::Interrupted);
    let steps = run.steps();
    assert!(steps > 0);
    assert_eq!(run.step(2).unwrap().stop_reason, StopReason::Steps);
    assert_eq!(run.steps(), steps + 2);
}

#[test]
fn an_interrupted_null_distribution_reports_its_progress() {
    let _serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
    let net = zoo::efficientnet_lite0().unwrap();
    let photo = net.prepare(Image::open("photos/dog.jpg").unwrap()).unwrap();
    let builder =
        NullDistribution::builder(&net).stimuli((0..2000).map(|_| &photo)).unwrap().stages(["logits"]).unwrap();
    let signal = interrupt_after(500);
    let error = builder.build().unwrap_err();
    signal.join().unwrap();
    assert!(matches!(&error, Error::Interrupted { done, .. } if done.ends_with(" of 2000 stimuli")), "{error}");
}

#[test]
fn an_interrupted_estimate_reports_its_progress() {
    let _serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
    // A network whose estimate takes seconds.
    let net = zoo::resnet50_random(0).unwrap();
    let sweep = Sweep::new(&net).images(&[Image::open("photos/dog.jpg").unwrap()]);
    let signal = interrupt_after(1000);
    let error = sweep.dry_run().unwrap_err();
    signal.join().unwrap();
    assert!(matches!(&error, Error::Interrupted { done, .. } if done.ends_with(" of 7 stages")), "{error}");
}

#[test]
fn an_interrupted_reproduction_reports_its_progress() {
    let _serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
    let net = zoo::efficientnet_lite0().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.metamer");
    let mut run = plan(&net).start().unwrap();
    run.run_for(Duration::from_secs(3)).unwrap();
    run.finish().unwrap().save(&path).unwrap();
    let signal = interrupt_after(1000);
    let reproduction = Metamer::reproduce_with(&path, &net).unwrap();
    signal.join().unwrap();
    assert!(!reproduction.is_complete() && !reproduction.is_identical());
    let (evaluations, total) = (reproduction.reproduced().history().len(), reproduction.saved().history().len());
    assert!(0 < evaluations && evaluations < total, "{evaluations} of {total}");
    let expected = format!("interrupted after {evaluations} of {total} evaluations, bit-identical so far");
    assert_eq!(reproduction.to_string(), expected);
}

unsafe extern "C" {
    /// Sets the disposition of a signal, as C has it.
    fn signal(signal: i32, handler: usize) -> usize;
}

/// The variable with which this binary runs as a program that is interrupted after an operation.
const PROGRAM_VAR: &str = "METAMERS_TEST_PROGRAM";

#[test]
fn an_interrupt_after_an_operation_is_left_to_the_handler_of_the_program() {
    if let Ok(handler) = std::env::var(PROGRAM_VAR) {
        // A shell starts a job in the background, and so its tests, with SIGINT ignored.
        // SAFETY: 0 is SIG_DFL, and no other thread changes the handlers of this program.
        unsafe { signal(SIGINT, 0) };
        let noticed = Arc::new(AtomicBool::new(false));
        if handler == "own" {
            signal_hook::flag::register(SIGINT, Arc::clone(&noticed)).unwrap();
        }
        plan(&zoo::efficientnet_lite0().unwrap()).start().unwrap().step(1).unwrap();
        signal_hook::low_level::raise(SIGINT).unwrap();
        assert!(noticed.load(Ordering::SeqCst));
        return;
    }
    let _serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
    let status = |handler: &str| {
        let mut program = Command::new(std::env::current_exe().unwrap());
        program.args(["--exact", "an_interrupt_after_an_operation_is_left_to_the_handler_of_the_program"]);
        program.env(PROGRAM_VAR, handler).output().unwrap().status.code()
    };
    assert_eq!((status("own"), status("none")), (Some(0), Some(130)));
}
