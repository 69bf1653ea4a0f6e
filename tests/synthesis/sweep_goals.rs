//! Sweeps of penalties with stimuli, bounds, runs from coarse to fine, films and different metamers.

use std::path::Path;

use metamers::prelude::*;
use metamers::sweep::{Plan, Submit};
use metamers::synthesis::{Norm, Penalty};

/// A plan in a folder, of the dog at the stem.
fn open(folder: &Path, body: &str) -> Result<Plan> {
    let path = folder.join("plan.toml");
    let text =
        format!("networks = [\"efficientnet_lite0\"]\nstimuli = [\"photos/dog.jpg\"]\nstages = [\"stem\"]\n{body}");
    std::fs::write(&path, text).unwrap();
    Plan::open(&path)
}

fn dog() -> Image {
    Image::open("photos/dog.jpg").unwrap()
}

fn panda() -> Image {
    Image::open("photos/giant_panda.jpg").unwrap()
}

fn net() -> Network {
    zoo::efficientnet_lite0().unwrap()
}

/// The only metamer of a plan.
fn metamer(body: &str) -> Metamer {
    let folder = tempfile::tempdir().unwrap();
    let results = open(folder.path(), body).unwrap().run().unwrap();
    assert_eq!(results.rows()[0].error, None);
    results.metamer(0).unwrap()
}

fn assert_same(metamer: &Metamer, expected: Synthesis, evaluations: usize) {
    let mut run = expected.quiet().start().unwrap();
    run.advance(Stop::evaluations(evaluations)).unwrap();
    let expected = run.finish().unwrap();
    assert_eq!(metamer.stimulus().values(), expected.stimulus().values());
    assert_eq!(metamer.provenance().recipe, expected.provenance().recipe);
}

#[test]
fn penalties_take_stimuli_by_name() {
    let penalties = "evaluations = 3\npenalties = [{ kind = \"distance\", weight = 0.3, stimuli = [\"photos/giant_panda.jpg\"] }, \
                     { kind = \"spectrum\", weight = 0.02, stimuli = [\"original\"] }]";
    let found = metamer(penalties);
    let synthesis = Synthesis::new(&net(), "stem", dog()).unwrap();
    let synthesis = synthesis.penalty(Penalty::distance(0.3, panda())).unwrap();
    assert_same(&found, synthesis.penalty(Penalty::spectrum(0.02, dog())).unwrap(), 3);
    let penalties = &found.provenance().penalties;
    assert_eq!(penalties[0].to_string(), "distance from photos/giant_panda.jpg");
    // The sweep of a notebook takes pictures.
    let sweep = Sweep::new(&net()).images(&[dog()]).stages(["stem"]).penalty(Penalty::distance(0.3, panda()));
    let sweep = sweep.penalty(Penalty::spectrum(0.02, dog())).evaluations(3).quiet();
    assert_eq!(sweep.run().unwrap().metamer(0).unwrap().stimulus().values(), found.stimulus().values());
    let named = Penalty::distance(0.3, panda().with_name("original"));
    let message = sweep.clone().penalty(named).run().unwrap_err().to_string();
    assert!(message.contains("with_name"), "{message}");
    let two = sweep.penalty(Penalty::distance(0.3, dog().with_name("giant panda")));
    assert!(two.run().unwrap_err().to_string().contains("two different stimuli"));
}

#[test]
fn a_bound_levels_and_films_are_those_of_single_runs() {
    let bound = "evaluations = 3\nbound = { norm = \"linf\", eps = 0.05, stimulus = \"photos/giant_panda.jpg\" }";
    let found = metamer(bound);
    let plain = || Synthesis::new(&net(), "stem", dog()).unwrap();
    assert_same(&found, plain().within(Norm::Linf, 0.05, panda()).unwrap(), 3);
    assert_eq!(found.provenance().recipe.name, "bounded");
    let sweep = Sweep::new(&net()).images(&[dog()]).stages(["stem"]).evaluations(3).quiet();
    let results = sweep.clone().within(Norm::Linf, 0.05, panda()).run().unwrap();
    assert_eq!(results.metamer(0).unwrap().stimulus().values(), found.stimulus().values());

    let recipe = "recipe = { from = \"feather2023\", steps = 8 }\nevaluations = 8";
    let coarse = metamer(&format!("{recipe}\ncoarse_to_fine = 2\nrecord_every = 2"));
    let plain = plain().recipe(Recipe::feather2023().steps(8)).coarse_to_fine(2).unwrap();
    assert_same(&coarse, plain, 8);
    assert_eq!(coarse.provenance().coarse_to_fine, Some(2));
    assert_eq!(coarse.film().unwrap().steps(), [0, 2, 4, 6, 8]);
    let film = sweep.record_every(1).run().unwrap().metamer(0).unwrap().film().unwrap();
    assert_eq!(film.steps(), [0, 1, 2, 3]);
}

#[test]
fn a_killed_task_goes_on_with_its_goal() {
    let reference = "\"photos/giant_panda.jpg\"";
    let penalty = format!("penalties = [{{ kind = \"distance\", weight = 0.3, stimuli = [{reference}] }}]");
    let plain = || Synthesis::new(&net(), "stem", dog()).unwrap();
    let panda_named = || panda().with_name("photos/giant_panda.jpg");
    let distance = || Penalty::distance(0.3, panda_named());
    let cases = [
        // A penalty replaces the default recipe, but not one that the plan names.
        (format!("recipe = \"nearest\"\n{penalty}"), plain().penalty(distance()).unwrap().recipe(Recipe::nearest())),
        (penalty.clone(), plain().penalty(distance()).unwrap()),
        (
            format!("bound = {{ norm = \"l2\", eps = 9.0, stimulus = {reference} }}"),
            plain().within(Norm::L2, 9.0, panda_named()).unwrap(),
        ),
        (
            "recipe = { from = \"feather2023\", steps = 8 }\ncoarse_to_fine = 2".into(),
            plain().recipe(Recipe::feather2023().steps(8)).coarse_to_fine(2).unwrap(),
        ),
    ];
    for (body, synthesis) in cases {
        let folder = tempfile::tempdir().unwrap();
        let plan = open(folder.path(), &format!("evaluations = 4\n{body}")).unwrap();
        assert_eq!(plan.collect().unwrap().missing(), [0]);
        // Beyond the end of the task: only a run that is continued has seven evaluations.
        let mut killed = synthesis.quiet().start().unwrap();
        killed.advance(Stop::evaluations(7)).unwrap();
        killed.save(folder.path().join("plan/running/0.run")).unwrap();
        let results = plan.run().unwrap();
        assert!(results.notes().is_empty(), "{body}: {:?}", results.notes());
        assert_eq!(results.rows()[0].evaluations, killed.evaluations(), "{body}");
        assert_eq!(results.metamer(0).unwrap().provenance().recipe.name, results.rows()[0].recipe);
    }
}

#[test]
fn a_sweep_with_stimuli_of_its_own_is_read_again_from_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let sweep = |near: Image| {
        let sweep = Sweep::new(&net()).images(&[dog()]).stages(["stem"]).penalty(Penalty::distance(0.3, near));
        sweep.evaluations(2).folder(folder.path().join("results")).quiet()
    };
    let first = sweep(panda()).run().unwrap();
    assert_eq!(sweep(panda()).run().unwrap().csv().unwrap(), first.csv().unwrap());
    let of_the_same_name = dog().with_name(panda().name());
    assert!(sweep(of_the_same_name).run().unwrap_err().to_string().contains("another sweep"));
}

/// Three different metamers of the dog, in a few seconds.
const DIFFERENT: &str = "seeds = [4, 5, 6]\nsnr_db = 12.0\ndifferent = 0.05\nsave_seconds = 0.01";

#[test]
fn different_metamers_depend_on_those_before_them() {
    let folder = tempfile::tempdir().unwrap();
    let plan = open(folder.path(), DIFFERENT).unwrap();
    let message = plan.run_tasks(&[1]).unwrap_err().to_string();
    assert!(message.contains("task 1") && message.contains("run those, too: 0"), "{message}");
    // One at a time, in order, the second one from the saved run of a killed task.
    plan.run_tasks(&[0]).unwrap();
    let seed = |i: u64| Synthesis::new(&net(), "stem", dog()).unwrap().seed(4 + i).quiet();
    let mut expected = seed(0).different(3, 0.05).unwrap();
    assert_eq!(expected.until(12.0).unwrap(), StopReason::Matched);
    let first = expected.metamers()[0].stimulus().clone().with_name("metamer 1");
    let natural = seed(1).recipe(Recipe::natural_prior()).penalty(Penalty::away_from(0.05, [first])).unwrap();
    let mut killed = natural.start().unwrap();
    killed.step(3).unwrap();
    let saved = folder.path().join("plan/running/1.run");
    killed.save(&saved).unwrap();
    let results = plan.run().unwrap();
    assert!(!saved.exists() && results.notes().is_empty(), "{:?}", results.notes());
    let values = |metamer: &Metamer| metamer.stimulus().values().to_vec();
    for (task, expected) in expected.metamers().iter().enumerate() {
        let found = results.metamer(task).unwrap();
        assert!(found.similarity().snr_db.unwrap() >= 11.99);
        assert!(values(&found) == values(expected), "metamer {task} is another one than that of Synthesis::different");
        assert_eq!(found.provenance().penalties.len(), 1);
    }
    // A failed predecessor is not passed over: its row is edited to have an error.
    let row = folder.path().join("plan/results/0.json");
    let text = std::fs::read_to_string(&row).unwrap().replace("\"error\": null", "\"error\": \"diverged\"");
    std::fs::write(&row, text).unwrap();
    std::fs::remove_file(folder.path().join("plan/results/1.json")).unwrap();
    let error = plan.run_tasks(&[1]).unwrap().rows()[0].error.clone().unwrap();
    assert!(error.contains("task 0") && error.contains("failed"), "{error}");
    // The tasks of a chain are in one element of a Slurm array.
    let again = tempfile::tempdir().unwrap();
    let two = DIFFERENT.replace("[4, 5, 6]", "[4, 5]");
    let body = format!("{two}\n[slurm]\ntasks_per_job = 1");
    let plan = open(again.path(), &body).unwrap();
    let submission = plan.slurm(Path::new("/metamers"), Submit::ScriptOnly).unwrap().unwrap();
    let tasks = std::fs::read_to_string(submission.scripts[0].with_extension("tasks")).unwrap();
    assert_eq!(tasks, "0-1\n");
}

#[test]
fn a_push_is_halved_in_a_sweep_too() {
    let folder = tempfile::tempdir().unwrap();
    let body = "seeds = [4, 5]\nsnr_db = 12.0\ndifferent = 3.0\nrecipe = { from = \"natural_prior\", steps = 60 }\nrecord_every = 1";
    let plan = open(folder.path(), body).unwrap();
    let short = Recipe::natural_prior().steps(60);
    let seed = |i: u64| Synthesis::new(&net(), "stem", dog()).unwrap().recipe(short.clone()).seed(4 + i).quiet();
    let mut expected = seed(0).different(2, 3.0).unwrap();
    assert_eq!(expected.until(12.0).unwrap(), StopReason::Matched);
    let weight = |metamer: &Metamer| metamer.provenance().penalties.first().map_or(0.0, Penalty::weight);
    assert!(expected.metamers().iter().all(|metamer| weight(metamer) < 3.0), "no weight was halved");
    // The second run of the first metamer was saved when the task was killed.
    let original = net().prepare(dog()).unwrap();
    let pushed = |weight: f64| seed(0).penalty(Penalty::away_from(weight, [original.clone()])).unwrap();
    let mut first = pushed(3.0).start().unwrap();
    first.advance(Stop::snr(12.0).or_steps(15)).unwrap();
    let current = first.current().with_name("metamer so far");
    let mut second = pushed(1.5).start_from(current).unwrap().start().unwrap();
    second.record_every(1).unwrap();
    second.step(7).unwrap();
    plan.collect().unwrap();
    second.save(folder.path().join("plan/running/0.run")).unwrap();
    let results = plan.run().unwrap();
    assert!(results.notes().is_empty(), "{:?}", results.notes());
    for (task, expected) in expected.metamers().iter().enumerate() {
        let found = results.metamer(task).unwrap();
        assert!(found.stimulus().values() == expected.stimulus().values(), "metamer {task} differs");
        assert_eq!(weight(&found), weight(expected));
        assert!(found.film().unwrap().steps().len() > 1);
    }
}

#[test]
fn goals_that_contradict_each_other_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let error = |body: &str| {
        std::fs::remove_dir_all(folder.path().join("plan")).ok();
        open(folder.path(), body).and_then(|plan| plan.run().map(drop)).unwrap_err().to_string()
    };
    let bound = "bound = { norm = \"l2\", eps = 3.0, stimulus = \"photos/dog.jpg\" }";
    for (body, expected) in [
        (format!("seeds = [0, 1]\n{bound}"), "every run begins at its stimulus"),
        (bound.replace("3.0", "0.0"), "eps of the bound"),
        (bound.replace("l2", "l1"), "l1"),
        (bound.replace("dog.jpg", "dgo.jpg"), "no such file"),
        (bound.replace("photos/dog.jpg", "speech/seven.wav"), "is not a stimulus for efficientnet_lite0"),
        (bound.replace("photos/dog.jpg", "dog"), "is not a stimulus"),
        (format!("recipe = \"nearest\"\n{bound}"), "L-BFGS"),
        ("coarse_to_fine = 7".into(), "1 to 6 levels"),
        ("record_every = 0".into(), "at least 1 step"),
        ("different = 0.1".into(), "needs several seeds"),
        ("seeds = [0, 1]\ndifferent = 0.1".into(), "snr_db = 20.0"),
        (DIFFERENT.replace("0.05", "-0.05"), "positive and finite"),
        (format!("{DIFFERENT}\nevaluations = 5"), "leave out evaluations"),
        (format!("{DIFFERENT}\ncoarse_to_fine = 2"), "cannot be combined"),
        ("penalties = [{ kind = \"range\", weight = 0.1, stimuli = [\"original\"] }]".into(), "takes no stimulus"),
        ("penalties = [{ kind = \"away_from\", weight = 0.1 }]".into(), "needs stimuli"),
    ] {
        let message = error(&body);
        assert!(message.contains(expected), "{body}: {message}");
    }
}
