//! An interrupt, alone in its process: a signal reaches every run of a process.
#![cfg(unix)]

use metamers::prelude::*;
use metamers::synthesis::Ended;

#[test]
fn an_interrupt_ends_the_call_and_keeps_the_run() {
    let net = zoo::efficientnet_lite0().unwrap();
    let photo = Image::open("photos/dog.jpg").unwrap();
    let recipe = Recipe::feather2023().steps(100_000_000);
    let mut run = Synthesis::new(&net, "stem", &photo).unwrap().recipe(recipe).quiet().start().unwrap();
    let signal = std::thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(500));
        let pid = std::process::id().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    });
    let progress = run.run().unwrap();
    signal.join().unwrap();
    assert_eq!(progress.ended, Ended::Interrupted);
    let steps = run.steps();
    assert!(steps > 0);
    assert_eq!(run.step(2).unwrap().ended, Ended::Steps);
    assert_eq!(run.steps(), steps + 2);
}
