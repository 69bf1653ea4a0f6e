//! Analyses the answers of a recognition task: proportions correct and the stage effect.
//!
//! Run: `cargo run --example class_answers -- FOLDER_OF_ANSWERS OUTPUT_FOLDER`; `simulated` as the first argument simulates a class.

use metamers::prelude::{analysis::*, *};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let answers = match arguments.next().filter(|word| word != "simulated") {
        Some(folder) => Answers::open_folder(folder)?,
        None => SimulatedParticipants::like(&Published::alexnet()).participants(22).inattentive(1).seed(3).answers()?,
    };
    let simulated = answers.are_simulated();
    let mut analysis = Analysis::new(answers);
    if simulated {
        analysis = analysis
            .published(Published::alexnet())
            .network("AlexNet (invented values)", [("natural", 0.97), ("final", 0.95)]);
    }
    let found = analysis.run()?;
    found.show();
    match found.stage_effect(10_000, 1) {
        Ok(effect) => effect.show(),
        Err(reason) => println!("No test of the stage effect: {reason}"),
    }
    if let Some(folder) = arguments.next() {
        found.export(std::path::Path::new(&folder).join("class.png"))?;
    }
    Ok(())
}
