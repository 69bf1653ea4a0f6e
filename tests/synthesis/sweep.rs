//! Sweeps: bit-identical results, resumption after interruptions, plans, panels and errors.

use std::path::{Path, PathBuf};

use metamers::network::{Builder, Input};
use metamers::ops::{AvgPool2d, Conv2d, Conv2dConfig, Linear, Relu, Standardize, Window};
use metamers::prelude::{analysis::*, *};
use metamers::sweep::Plan;

fn photos() -> Vec<Image> {
    ["photos/dog.jpg", "photos/giant_panda.jpg"].map(|path| Image::open(path).unwrap()).to_vec()
}

/// Eight tasks of a few steps.
fn sweep() -> Sweep {
    let net = zoo::efficientnet_lite0().unwrap();
    Sweep::new(&net).images(&photos()).stages(["stem", "block0"]).seeds([0, 3]).evaluations(6).quiet()
}

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// The bytes of all metamers of a folder, by name, and of the table.
fn bits(folder: &Path, results: &SweepResults) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder.join("results")).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|path| path.extension().unwrap() == "metamer");
    files.sort();
    let mut bits: Vec<_> =
        files.into_iter().map(|path| (path.file_name().unwrap().into(), std::fs::read(path).unwrap())).collect();
    bits.push(("table".into(), results.csv().unwrap().into_bytes()));
    bits
}

#[test]
fn results_are_bit_identical_for_any_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    let with = |threads: usize| {
        let folder = folder.path().join(threads.to_string());
        let results = with_threads(threads, || sweep().folder(&folder).run().unwrap());
        assert_eq!((results.rows().len(), results.missing().len()), (8, 0));
        bits(&folder, &results)
    };
    let one = with(1);
    assert_eq!(one.len(), 9);
    assert!(one == with(2), "the results of one and two workers differ");
    assert!(one == with(3), "the results of one and three workers differ");
    // A sweep without a folder.
    let in_memory = sweep().run().unwrap();
    assert_eq!(in_memory.csv().unwrap().as_bytes(), one[8].1);
    let saved = Metamer::open(folder.path().join("1/results/5.metamer")).unwrap();
    assert_eq!(in_memory.metamer(5).unwrap(), saved);
    // The last task of the dog alone uses all threads.
    let alone = with_threads(2, || {
        let net = zoo::efficientnet_lite0().unwrap();
        let sweep = Sweep::new(&net).images(&photos()[..1]).stages(["block0"]).seeds([3]).evaluations(6);
        sweep.quiet().run().unwrap()
    });
    assert_eq!(alone.metamer(0).unwrap(), in_memory.metamer(3).unwrap());
}

#[test]
fn a_second_run_repeats_only_missing_and_damaged_tasks() {
    let folder = tempfile::tempdir().unwrap();
    let first = sweep().folder(folder.path()).run().unwrap();
    let before = bits(folder.path(), &first);
    let file = |name: &str| folder.path().join("results").join(name);
    let written = |name: &str| file(name).metadata().unwrap().modified().unwrap();
    let times: Vec<_> = (0..8).map(|task| written(&format!("{task}.json"))).collect();

    std::fs::remove_file(file("1.json")).unwrap();
    std::fs::write(file("2.json"), "{").unwrap();
    let mut bytes = std::fs::read(file("3.metamer")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file("3.metamer"), bytes).unwrap();
    std::fs::remove_file(file("4.metamer")).unwrap();
    std::fs::copy(file("6.json"), file("5.json")).unwrap();

    let second = sweep().folder(folder.path()).run().unwrap();
    assert_eq!(bits(folder.path(), &second), before);
    for (task, time) in times.iter().enumerate() {
        let again = written(&format!("{task}.json")) != *time;
        assert_eq!(again, (1..=5).contains(&task), "task {task}");
    }
    let notes = second.notes().join("\n");
    for task in 2..=5 {
        assert!(notes.contains(&format!("task {task} will be repeated")), "{notes}");
    }
    assert!(!notes.contains("task 1 "), "a missing task is not damaged: {notes}");
}

#[test]
fn a_killed_task_resumes_from_its_saved_run() {
    let net = zoo::efficientnet_lite0().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let whole = sweep().folder(folder.path().join("whole")).run().unwrap();
    let before = bits(&folder.path().join("whole"), &whole);

    // The files of killed tasks; task 2 is the dog at the stem with the second seed.
    let killed = folder.path().join("killed");
    std::fs::create_dir_all(killed.join("running")).unwrap();
    let start = |seed: u64| Synthesis::new(&net, "stem", &photos()[0]).unwrap().seed(seed).quiet().start().unwrap();
    let mut run = start(3);
    run.step(2).unwrap();
    run.save(killed.join("running/2.run")).unwrap();
    // The saved run of task 0 is beyond the limit of 6 evaluations, at which a new run would stop.
    let mut far = start(0);
    far.advance(Stop::evaluations(11)).unwrap();
    far.save(killed.join("running/0.run")).unwrap();
    // Two invalid files: one of another task, which differs in its photo only, and a truncated one.
    let mut of_the_dog = start(0);
    of_the_dog.step(2).unwrap();
    of_the_dog.save(killed.join("running/4.run")).unwrap();
    std::fs::write(killed.join("running/6.run"), &std::fs::read(killed.join("running/2.run")).unwrap()[..5000])
        .unwrap();

    let results = sweep().folder(&killed).run().unwrap();
    let after = bits(&killed, &results);
    for task in [2, 4, 6] {
        assert!(before[task] == after[task], "task {task} differs from an uninterrupted run");
    }
    assert_eq!(results.rows()[0].evaluations, far.evaluations(), "task 0 did not resume from its saved run");
    let notes = results.notes().join("\n");
    assert!(notes.contains("task 4 (giant panda at stem of EfficientNet-Lite0, seed 0) restarts"), "{notes}");
    assert!(notes.contains("task 6") && !notes.contains("task 2") && !notes.contains("task 0"), "{notes}");
    assert_eq!(std::fs::read_dir(killed.join("running")).unwrap().count(), 0, "the running folder must be empty");
}

#[test]
fn the_folder_of_another_sweep_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let one = || sweep().stages(["stem"]).seeds([0]).evaluations(1).folder(folder.path());
    one().run().unwrap();
    let others = [sweep().folder(folder.path()), one().until(9.0), one().recipe(Recipe::feather2023())];
    for (other, differs_in_recipe) in others.into_iter().zip([false, false, true]) {
        let message = other.run().unwrap_err().to_string();
        assert!(message.contains("another sweep"), "{message}");
        assert_eq!(message.contains("set the recipe of its study.json"), differs_in_recipe, "{message}");
    }
}

#[test]
fn the_panel_lists_snr_and_outcome_of_each_metamer() {
    let results = sweep().until(14.0).evaluations(40).run().unwrap();
    let bundles = results.mime_bundles();
    assert_eq!(bundles.len(), 1);
    let text = bundles[0].plain();
    let null = NullDistribution::shipped(&zoo::efficientnet_lite0().unwrap()).unwrap();
    assert!(text.starts_with("8 of 8 tasks done"), "{text}");
    for row in results.rows() {
        let cell = format!("{} at {} of EfficientNet-Lite0, seed {}: ", row.stimulus, row.stage, row.seed);
        let line = text.lines().find(|line| line.contains(&cell)).unwrap_or_else(|| panic!("no {cell} in {text}"));
        assert!(line.contains(&format!("{:.1} dB", row.snr_db().unwrap())), "{line}");
        let outcome = results.metamer(row.task).unwrap().verdict(&null).unwrap().outcome;
        assert_eq!(row.outcome, Some(outcome));
        assert!(line.contains(&format!(": {} ", outcome.symbol())) && line.contains(&outcome.to_string()), "{line}");
    }
    let png = &bundles[0].data()["image/png"];
    assert!(png.len() > 50_000, "the panel is too small for photos");
    let message = |network, seed| results.panel(network, seed).unwrap_err().to_string();
    assert!(message(1, 0).contains("network") && message(0, 4).contains("[0, 3]"));
    assert_eq!(results.find("dog", "block0").unwrap().seed, 0);
    assert!(results.find("dgo", "stem").unwrap_err().to_string().contains("did you mean dog"));
    // The items of an experiment: the originals, and the metamers with that verdict.
    let items = results.items([("dog", "dog"), ("giant panda", "bear")]).unwrap();
    assert_eq!(items.len(), 2 + 4);
    let first_seed = results.rows().into_iter().filter(|row| row.seed == 0);
    let metamers = first_seed.filter(|row| row.outcome == Some(Outcome::Metamer)).count();
    let task = RecognitionTask::builder("Which is it?", Choices::entry_level()).items(items).build().unwrap();
    assert_eq!(task.versions().iter().sum::<usize>(), 2 + metamers);
    assert!(results.items([("dgo", "dog")]).unwrap_err().to_string().contains("did you mean dog"));
    let csv = results.csv().unwrap();
    assert!(csv.starts_with("task,network,stage,stimulus,seed,"), "{csv}");
    assert_eq!(csv.lines().count(), 9);
    assert!(results.save_csv("results.json").unwrap_err().to_string().contains("saved as .csv"));
}

#[test]
fn a_dry_run_estimates_the_time_of_each_stage_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap().path().join("new");
    let cost = sweep().evaluations(1000).folder(&folder).dry_run().unwrap();
    assert_eq!(cost.rows.len(), 2);
    for row in &cost.rows {
        assert_eq!((row.tasks, row.evaluations), (4, 1000));
        assert_eq!(row.total(), row.task() * 4);
        assert!(row.task() > Duration::from_millis(100), "a thousand gradients in {:?}", row.task());
    }
    let work: Duration = cost.rows.iter().map(|row| row.total()).sum();
    assert!(cost.total() <= work && cost.total() * cost.workers as u32 >= work / 2);
    let text = cost.mime_bundles()[0].plain().to_string();
    assert!(text.contains("8 tasks") && text.contains("block0") && text.contains("on this machine"), "{text}");
    assert!(!folder.exists());
}

#[test]
fn a_silent_stage_is_recorded_and_the_sweep_continues() {
    let mut b = Builder::new("silent", Input::Image { shape: [3, 20, 16], resize: 20 });
    let weight = |value: f32| Tensor::full(value, (2, 3, 1, 1), &Device::Cpu).unwrap();
    let x = b.conv2d(b.input(), Conv2d::new(&weight(0.3), None, Conv2dConfig::default()).unwrap()).unwrap();
    b.stage("loud", x).unwrap();
    let x = b.conv2d(b.input(), Conv2d::new(&weight(-0.3), None, Conv2dConfig::default()).unwrap()).unwrap();
    let x = b.relu(x, Relu::UNBOUNDED).unwrap();
    b.stage("silent", x).unwrap();
    let net = b.finish().unwrap();
    let image = Image::noise(16, 20, Noise::Uniform { low: 0.1, high: 0.9 }, 1).unwrap().with_name("noise");
    let folder = tempfile::tempdir().unwrap();
    let run = || Sweep::new(&net).images([&image]).evaluations(3).folder(folder.path()).quiet().run().unwrap();
    let results = run();
    assert!(results.missing().is_empty());
    assert!(results.find("noise", "loud").unwrap().error.is_none());
    let row = results.find("noise", "silent").unwrap();
    assert!(row.error.as_ref().unwrap().contains("nothing to match"));
    assert!(results.metamer(row.task).unwrap_err().to_string().contains("nothing to match"));
    assert!(results.mime_bundles()[0].plain().contains("1 without a metamer"));
    assert_eq!(run().csv().unwrap(), results.csv().unwrap(), "the failed task must not be repeated");
}

#[test]
fn a_custom_network_is_judged_by_a_user_defined_null_distribution() {
    let mut b = Builder::new("means", Input::Image { shape: [3, 20, 16], resize: 20 });
    let x = b.avg_pool2d(b.input(), AvgPool2d::new(Window { stride: [4; 2], ..Window::new([4; 2]) })).unwrap();
    b.stage("pool", x).unwrap();
    let net = b.finish().unwrap();
    let noise = |seed| {
        Image::noise(16, 20, Noise::Uniform { low: 0.1, high: 0.9 }, seed).unwrap().with_name(format!("noise {seed}"))
    };
    let image = noise(1);
    let sweep = Sweep::new(&net).images([&image]).evaluations(200).until(30.0).quiet();
    let results = sweep.clone().run().unwrap();
    assert_eq!(results.find("noise 1", "pool").unwrap().outcome, None);
    assert!(results.mime_bundles()[0].plain().contains("– 3"), "{}", results.mime_bundles()[0].plain());
    assert!(results.mime_bundles()[0].plain().contains("not judged: no null distribution"));
    let null = NullDistribution::builder(&net).stimuli((2..8).map(noise)).unwrap().build().unwrap();
    let results = sweep.null(&null).run().unwrap();
    // The run matches, but fifteen pairs are too few for a verdict.
    assert_eq!(results.find("noise 1", "pool").unwrap().outcome, Some(Outcome::NotEnoughEvidence));
    assert!(results.csv().unwrap().contains(",not enough evidence,"));
}

const PLAN: &str = r#"
networks = ["efficientnet_lite0"]
stimuli = ["photos/dog.jpg"]
stages = ["stem"]
evaluations = 2
"#;

fn plan(text: &str) -> Result<Plan> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.toml");
    std::fs::write(&path, text).unwrap();
    Plan::open(path)
}

#[test]
fn errors_for_invalid_plans_name_the_problem() {
    let cases = [
        ("seeds = 1", "invalid type"),
        ("seed = [1]", "unknown field `seed`"),
        ("seeds = []", "seeds: is an empty list"),
        ("seeds = [1, 1]", "seeds: has 1 twice"),
        ("snr_db = nan", "snr_db"),
        ("save_seconds = -1", "save_seconds"),
        ("save_seconds = 0", "must be a number of seconds above 0, got 0"),
        ("save_seconds = 1e-12", "save_seconds"),
        ("save_seconds = inf", "save_seconds"),
        ("recipe = \"nearst\"", "did you mean nearest"),
        ("recipe = { from = \"fast\", step = 5 }", "did you mean steps"),
        ("recipe = { steps = 0 }", "recipe.steps"),
        ("recipe = { loss = \"norm\" }", "norm"),
        ("recipe = 7", "recipe must be a name, or a table"),
        ("[slurm]\ntime = \"\"", "slurm.time"),
        ("[slurm]\ncpu = 2", "unknown field `cpu`"),
        ("[slurm]\ntasks_per_job = 0", "slurm.tasks_per_job"),
    ];
    for (line, expected) in cases {
        let message = plan(&format!("{PLAN}{line}")).unwrap_err().to_string();
        assert!(message.contains(expected) && message.contains("plan.toml"), "{line}: {message}");
    }
    let changed = [
        ("evaluations = 2", "evaluations = 0", "evaluations"),
        ("[\"stem\"]", "\"all\"", "stages must be \"every\""),
        ("[\"stem\"]", "{ resnet = [\"stem\"] }", "efficientnet_lite0"),
        ("networks = [\"efficientnet_lite0\"]", "", "missing field `networks`"),
    ];
    for (from, to, expected) in changed {
        let message = plan(&PLAN.replace(from, to)).unwrap_err().to_string();
        assert!(message.contains(expected), "{to}: {message}");
    }
    // Errors that appear when networks and stimuli are resolved.
    let unresolved = [
        ("efficientnet_lite0", "eficientnet_lite0", "did you mean efficientnet_lite0"),
        ("\"stem\"", "\"stam\"", "did you mean stem"),
        ("photos/dog.jpg", "photos/dgo.jpg", "no such file"),
        ("photos/dog.jpg", "photos/*.bmp", "matches no image"),
        ("photos/dog.jpg", "photos/photos.json", "is not a stimulus"),
        ("photos/dog.jpg", "speech/seven.wav", "only sounds"),
        ("[\"photos/dog.jpg\"]", "[\"photos/dog.jpg\", \"speech/seven.wav\"]", "not accepted by any network"),
    ];
    for (from, to, expected) in unresolved {
        let message = plan(&PLAN.replace(from, to)).unwrap().dry_run().unwrap_err().to_string();
        assert!(message.contains(expected), "{to}: {message}");
    }
}

#[test]
fn a_plan_without_an_extension_needs_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study");
    std::fs::write(&path, PLAN).unwrap();
    let message = Plan::open(&path).unwrap_err().to_string();
    assert!(message.contains("give the plan the extension .toml, or set folder"), "{message}");
    std::fs::write(&path, format!("{PLAN}folder = \"results\"\n")).unwrap();
    assert_eq!(Plan::open(&path).unwrap().folder(), folder.path().join("results"));
}

#[test]
fn a_file_that_cannot_be_decoded_is_recorded_and_the_sweep_continues() {
    let folder = tempfile::tempdir().unwrap();
    let (path, mine) = (folder.path().join("plan.toml"), folder.path().join("mine"));
    std::fs::write(&path, PLAN.replace("photos/dog.jpg", "mine/*.png")).unwrap();
    std::fs::create_dir(&mine).unwrap();
    photos()[0].save(mine.join("dog.png")).unwrap();
    std::fs::write(mine.join("broken.PNG"), "no picture").unwrap();
    // macOS puts such a file beside each one on a disk of another system.
    std::fs::write(mine.join("._dog.png"), "attributes").unwrap();

    let plan = Plan::open(&path).unwrap();
    let results = plan.run().unwrap();
    let rows: Vec<_> = results.rows().iter().map(|row| (row.stimulus.as_str(), row.error.is_some())).collect();
    assert_eq!(rows, [("mine/broken.PNG", true), ("mine/dog.png", false)]);
    let error = results.rows()[0].error.clone().unwrap();
    assert!(error.starts_with("mine/broken.PNG: "), "{error}");
    let figure = results.panel(0, 0).unwrap().words();
    assert!(figure.contains("cannot be opened") && figure.contains("no metamer; see the table"), "{figure}");

    // The folder keeps its results after the files are gone, and shows them.
    std::fs::remove_dir_all(&mine).unwrap();
    let collected = plan.run().unwrap();
    assert_eq!(collected.csv().unwrap(), results.csv().unwrap(), "the failed task must not be repeated");
    std::fs::remove_file(plan.folder().join("results/1.json")).unwrap();
    let collected = plan.collect().unwrap();
    assert_eq!(collected.missing(), [1]);
    assert!(collected.panel(0, 0).is_ok());
}

#[test]
fn a_plan_resolves_patterns_paths_and_recipes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.toml");
    let text = r#"
networks = ["efficientnet_lite0", "cochcnn_words"]
stimuli = ["mine/*.png", "photos/da*", "photos/dam.jpg", "speech/seven.wav"]
stages = { efficientnet_lite0 = ["stem"], cochcnn_words = "every" }
recipe = { from = "feather2023", steps = 50 }
evaluations = 2
"#;
    std::fs::write(&path, text).unwrap();
    std::fs::create_dir(folder.path().join("mine")).unwrap();
    photos()[0].save(folder.path().join("mine/my_photo.png")).unwrap();
    let plan = Plan::open(&path).unwrap();
    // Each task runs once.
    let results = plan.run_tasks(&[3, 0, 2, 3]).unwrap();
    // The user's photo, dahlia, dam and dandelions at one stage, a word at nine stages.
    assert_eq!(results.tasks(), 4 + 9);
    let names: Vec<_> = results.rows().iter().map(|row| (row.stimulus.as_str(), row.recipe.as_str())).collect();
    assert_eq!(
        names,
        [
            ("mine/my_photo.png", "feather2023"),
            ("photos/dam.jpg", "feather2023"),
            ("photos/dandelions.jpg", "feather2023")
        ]
    );
    let original = |task| results.metamer(task).unwrap().provenance().original.clone();
    assert_eq!([original(0), original(2)], ["my photo", "dam"], "the names that Image::open gives");
    assert!(plan.run_tasks(&[13]).unwrap_err().to_string().contains("numbered 0 to 12"));
    let collected = plan.collect().unwrap();
    assert_eq!(collected.missing(), [1, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    let row = plan.run_tasks(&[4]).unwrap();
    assert_eq!(row.rows()[0].recipe, "feather2023_sound");

    // Other Slurm resources do not change the plan; other evaluations do.
    std::fs::write(&path, format!("{text}[slurm]\ntime = \"5\"\n")).unwrap();
    assert_eq!(Plan::open(&path).unwrap().collect().unwrap().missing().len(), 9);
    std::fs::write(&path, text.replace("evaluations = 2", "evaluations = 3")).unwrap();
    let message = Plan::open(&path).unwrap().collect().unwrap_err().to_string();
    assert!(message.contains("another plan"), "{message}");
    // A changed stimulus is an error.
    std::fs::write(&path, text).unwrap();
    photos()[1].save(folder.path().join("mine/my_photo.png")).unwrap();
    std::fs::remove_file(folder.path().join("plan/results/0.json")).unwrap();
    let message = Plan::open(&path).unwrap().run_tasks(&[0]).unwrap_err().to_string();
    assert!(message.contains("has changed"), "{message}");
}

#[test]
fn sounds_of_a_plan_have_the_level_of_word_networks() {
    let folder = tempfile::tempdir().unwrap();
    for recipe in ["natural_prior", "feather2023"] {
        let path = folder.path().join(format!("{recipe}.toml"));
        let text = PLAN.replace("efficientnet_lite0", "cochcnn_words").replace("photos/dog.jpg", "speech/seven.wav");
        let text = text.replace("stem", "relu0").replace("evaluations = 2", "evaluations = 1");
        std::fs::write(&path, format!("{text}recipe = \"{recipe}\"\n")).unwrap();
        let plan = Plan::open(&path).unwrap();
        let metamer = || plan.run().unwrap().metamer(0).unwrap();
        let level = |metamer: &Metamer| metamer.original().sound().unwrap().rms();
        assert!((level(&metamer()) - 0.1).abs() < 1e-5, "{recipe}");

        // A folder that an earlier copy began goes on with the level of the file and with the recipe that it holds.
        let study = path.with_extension("").join("study.json");
        let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&study).unwrap()).unwrap();
        assert_eq!(manifest["stimuli"][0].as_object_mut().unwrap().remove("prepared"), Some(true.into()));
        manifest["networks"][0]["recipe"]["sound_rms"] = serde_json::Value::Null;
        std::fs::write(&study, manifest.to_string()).unwrap();
        std::fs::remove_dir_all(path.with_extension("").join("results")).unwrap();
        let (found, net) = (metamer(), zoo::cochcnn_words().unwrap());
        let file = net.prepare(Sound::open("speech/seven.wav").unwrap()).unwrap();
        assert_eq!((found.original(), found.provenance().recipe.sound_rms), (&file, None), "{recipe}");
        assert!((level(&found) - 0.1).abs() > 0.005, "{recipe}");

        // A file lacks the cochleagram, which the network has.
        let picture = |metamer: &Metamer| metamer.mime_bundles()[1].data()["image/png"].clone();
        let opened = Metamer::open(path.with_extension("").join("results/0.metamer")).unwrap();
        assert!(picture(&opened) != picture(&found), "{recipe}");
        assert!(picture(&opened.with_cochleagram_of(&net)) == picture(&found), "{recipe}");
        assert!(picture(&plan.run().unwrap().metamers().unwrap()[0].1) == picture(&found), "{recipe}");
    }
}

#[test]
fn an_explorer_plays_a_sound_and_its_metamers_at_one_gain() {
    let values = Sound::noise(16_000, 40 * 256, Noise::Uniform { low: -0.4, high: 0.4 }, 6).unwrap();
    let mut b = Builder::new("ear", Input::Sound { samples: 256, sample_rate: 16_000 });
    let x = b.layer(Standardize { samples: 256 }, &[b.input()]).unwrap();
    let x = b.layer(metamers::network::Layer::Flatten, &[x]).unwrap();
    for units in [20, 40] {
        let weight = Tensor::from_slice(&values.values()[..units * 256], (units, 256), &Device::Cpu).unwrap();
        let x = b.linear(x, Linear::new(&weight, None).unwrap()).unwrap();
        b.stage(format!("fc{units}"), x).unwrap();
    }
    let hiss = Sound::noise(16_000, 256, Noise::Pink { rms: 0.1 }, 9).unwrap().with_name("hiss");
    let results = Sweep::new(&b.finish().unwrap()).sounds([&hiss]).evaluations(3).quiet().run().unwrap();
    let bundles = results.explorer().unwrap().mime_bundles();
    let players: Vec<&str> = bundles[0].data()["text/html"].split("played ").skip(1).collect();
    let gains: Vec<&str> = players.iter().filter_map(|player| player.split(" dB").next()).collect();
    assert!(gains.len() == 3 && gains.iter().all(|gain| *gain == gains[0]), "{gains:?}");
}

#[test]
fn the_example_plan_is_valid() {
    let plan = Plan::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/plan.toml")).unwrap();
    // The dog, a red panda and a red squirrel at six stages, and a word at nine stages of two networks.
    assert_eq!(plan.tasks().unwrap(), 3 * 6 + 2 * 9);
}

#[test]
fn networks_of_one_name_are_told_apart_by_their_weights() {
    let net = |factor: f64| {
        let weight = Tensor::arange(1f32, 10.0, &Device::Cpu).unwrap().affine(factor, 0.0).unwrap();
        let weight = weight.reshape((3, 3, 1, 1)).unwrap();
        let mut b = Builder::new("twin", Input::Image { shape: [3, 16, 16], resize: 16 });
        let x = b.conv2d(b.input(), Conv2d::new(&weight, None, Conv2dConfig::default()).unwrap()).unwrap();
        b.stage("conv", x).unwrap();
        b.finish().unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let sweep = || {
        let sweep = Sweep::new(&net(0.1)).network(&net(0.2)).images(&photos()[..1]);
        sweep.evaluations(2).folder(folder.path()).quiet()
    };
    let results = sweep().run().unwrap();
    let rows = results.rows();
    for (row, net) in rows.iter().zip([net(0.1), net(0.2)]) {
        let weights = &net.weights_source().weights_sha256;
        assert_eq!(row.network, format!("twin ({})", &weights[..8]));
        assert_eq!(results.metamer(row.task).unwrap().provenance().weights_sha256, *weights);
    }
    assert_eq!(rows.len(), 2);
    assert_eq!(sweep().run().unwrap().csv().unwrap(), results.csv().unwrap());
    assert!(sweep().network(&net(0.1)).run().unwrap_err().to_string().contains("twice"));
}

#[test]
fn empty_and_duplicate_inputs_are_errors() {
    let net = zoo::efficientnet_lite0().unwrap();
    let message = |sweep: Sweep| sweep.quiet().run().unwrap_err().to_string();
    assert!(message(Sweep::new(&net)).contains("stimuli"));
    assert!(message(sweep().seeds([])).contains("seeds"));
    assert!(message(sweep().stages(["stem", "stem"])).contains("twice"));
    assert!(message(sweep().images(&photos())).contains("twice"));
    assert!(message(sweep().network(&net)).contains("twice"));
    assert!(message(sweep().until(f64::INFINITY)).contains("snr_db"));
}

#[test]
fn a_plan_lists_matches_and_penalties() {
    let folder = tempfile::tempdir().unwrap();
    let open = |body: &str| {
        let path = folder.path().join("plan.toml");
        let text =
            format!("networks = [\"efficientnet_lite0\"]\nstimuli = [\"photos/dog.jpg\"]\nevaluations = 1\n{body}");
        std::fs::write(&path, text).unwrap();
        Plan::open(&path)
    };
    let matches = "[matches]\ntexture = [{ stage = \"stem\", statistic = \"gram\" }, { stage = \"block0\", weight = 0.5 }]\n\
                   corner = [{ stage = \"stem\", region = { window = { first = [0, 0], size = [60, 80] } } }]\n\
                   few = [{ stage = \"block0\", channels = [0, 3] }]";
    let penalties = "penalties = [{ kind = \"total_variation\", weight = 0.05 }]";
    let plan = open(&format!("stages = [\"stem\", \"texture\", \"corner\", \"few\"]\n{penalties}\n{matches}")).unwrap();
    let results = plan.run().unwrap();
    let stages: Vec<&str> = results.rows().iter().map(|row| row.stage.as_str()).collect();
    assert_eq!(stages, ["stem", "texture", "corner", "few"]);
    assert!(results.rows().iter().all(|row| row.error.is_none() && row.evaluations == 1), "{:?}", results.rows());
    let texture = results.metamer(1).unwrap();
    assert_eq!(texture.matches().len(), 2);
    assert_eq!(texture.provenance().stage, "1 × stem (Gram matrix) + 0.5 × block0");
    assert_eq!(texture.provenance().penalties[0].weight(), 0.05);
    // The sweep of a notebook gives the same bits.
    let net = zoo::efficientnet_lite0().unwrap();
    let again = Sweep::new(&net)
        .images(&photos()[..1])
        .stages(["stem"])
        .matching("texture", plan.matches["texture"].clone())
        .penalty(plan.penalties[0].clone());
    let again = again.evaluations(1).quiet().run().unwrap();
    assert_eq!(again.metamer(1).unwrap().stimulus().values(), texture.stimulus().values());
    // A finished plan is not repeated, and another match is another plan.
    assert_eq!(plan.run().unwrap().csv().unwrap(), results.csv().unwrap());
    assert!(open("stages = [\"stem\"]").unwrap().run().unwrap_err().to_string().contains("another plan"));

    let error = |body: &str| {
        std::fs::remove_dir_all(folder.path().join("plan")).ok();
        open(body).and_then(|plan| plan.run().map(drop)).unwrap_err().to_string()
    };
    let one = |target: &str| format!("stages = [\"mine\"]\n[matches]\nmine = [{target}]");
    assert!(error(&one("{ stage = \"stm\" }")).contains("did you mean stem"));
    assert!(error(&one("{ stage = \"stem\", weight = 0.0 }")).contains("positive and finite"));
    assert!(error(&one("{ stage = \"stem\", chanels = [1] }")).contains("chanels"));
    assert!(error("stages = [\"min\"]\n[matches]\nmine = [{ stage = \"stem\" }]").contains("did you mean mine"));
    assert!(error("[matches]\nstem = [{ stage = \"stem\" }]").contains("another name"));
    assert!(error("penalties = [{ kind = \"distance\", weight = 1.0 }]").contains("needs one stimulus"));
    assert!(error("penalties = [{ kind = \"total_variation\", weight = -1.0 }]").contains("positive and finite"));
}
