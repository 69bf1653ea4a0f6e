//! Goals of a synthesis: several stages, parts and statistics, own functions, penalties and bounds.

use metamers::network::{Builder, Input};
use metamers::ops::{Conv2d, Conv2dConfig, Linear, Padding, Relu, Standardize};
use metamers::prelude::*;
use metamers::synthesis::{Loss, Norm, OwnLoss, Penalty, Target};
use rand::{RngExt, SeedableRng};

/// A small random network of two convolutions with ReLUs.
fn small() -> Network {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
    let mut weight = |shape: [usize; 4]| {
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| random.random_range(-0.4..0.4)).collect();
        Tensor::from_vec(values, shape.as_slice(), &Device::Cpu).unwrap()
    };
    let same = |stride| Conv2dConfig { stride: [stride; 2], padding: Padding::all(1), ..Default::default() };
    let mut b = Builder::new("small", Input::Image { shape: [3, 20, 16], resize: 20 });
    let x = b.conv2d(b.input(), Conv2d::new(&weight([6, 3, 3, 3]), None, same(1)).unwrap()).unwrap();
    let x = b.relu(x, Relu::UNBOUNDED).unwrap();
    b.stage("relu1", x).unwrap();
    let x = b.conv2d(x, Conv2d::new(&weight([8, 6, 3, 3]), None, same(2)).unwrap()).unwrap();
    let x = b.relu(x, Relu::UNBOUNDED).unwrap();
    b.stage("relu2", x).unwrap();
    b.finish().unwrap()
}

/// A small random network for sounds.
fn ear() -> Network {
    let values = Sound::noise(16_000, 20 * 256, Noise::Uniform { low: -0.4, high: 0.4 }, 6).unwrap();
    let weight = Tensor::from_slice(values.values(), (20, 256), &Device::Cpu).unwrap();
    let mut b = Builder::new("ear", Input::Sound { samples: 256, sample_rate: 16_000 });
    let x = b.layer(Standardize { samples: 256 }, &[b.input()]).unwrap();
    let x = b.layer(metamers::network::Layer::Flatten, &[x]).unwrap();
    let x = b.linear(x, Linear::new(&weight, None).unwrap()).unwrap();
    b.stage("fc", x).unwrap();
    b.finish().unwrap()
}

fn noise_image(seed: u64) -> Image {
    Image::noise(16, 20, Noise::Uniform { low: 0.1, high: 0.9 }, seed).unwrap().with_name(format!("noise {seed}"))
}

fn plan(matched: impl Into<Match>) -> Synthesis {
    Synthesis::new(&small(), matched, noise_image(1)).unwrap().seed(3).quiet()
}

fn bits(run: &Run) -> Vec<u32> {
    run.pixels().iter().map(|x| x.to_bits()).collect()
}

fn mask() -> Image {
    Image::from_gray("left half", 16, 20, (0..320).map(|i| if i % 16 < 8 { 1.0 } else { 0.0 }).collect()).unwrap()
}

/// One of each kind.
fn matches() -> Vec<(&'static str, Match)> {
    vec![
        ("two stages", Match::stages([("relu1", 1.0), ("relu2", 0.5)])),
        ("a weighted stage", Target::stage("relu2").weight(2.0).into()),
        ("channels", Target::stage("relu2").channels([0, 3, 4]).into()),
        ("a window", Target::stage("relu2").window([2, 2], [10, 12]).into()),
        ("a mask", Target::stage("relu1").mask(&mask()).into()),
        ("means", Target::stage("relu2").means().into()),
        ("a Gram matrix", Target::stage("relu1").gram().into()),
        (
            "places inside, texture outside",
            Match::targets([Target::stage("relu2").mask(&mask()), Target::stage("relu2").gram().weight(0.1)]),
        ),
    ]
}

#[test]
fn a_name_a_target_and_a_match_of_one_stage_are_the_same() {
    let after = |plan: Synthesis| {
        let mut run = plan.start().unwrap();
        run.step(6).unwrap();
        (bits(&run), run.finish().unwrap().provenance().clone())
    };
    let name = after(plan("relu2"));
    assert_eq!(name, after(plan(String::from("relu2"))));
    assert_eq!(name, after(plan(Target::stage("relu2"))));
    assert_eq!(name, after(plan(Match::stages([("relu2", 1.0)]))));
    assert_eq!((name.1.stage.as_str(), &name.1.matched), ("relu2", &None));
    // All channels and the whole picture are the whole stage, too; only a stage's name has an earlier stage to begin with.
    let all = Target::stage("relu2").channels(0..8).window([0, 0], [20, 16]);
    let of = |matched: Match| after(plan(matched).recipe(Recipe::natural_prior())).0;
    assert_eq!(of("relu2".into()), of(all.into()));
}

#[test]
fn every_recipe_improves_every_kind_of_match() {
    for (name, matched) in matches() {
        for recipe in [Recipe::presets(), vec![Recipe::bounded()]].concat() {
            let what = format!("{name}, {}", recipe.name);
            let mut run = plan(matched.clone()).recipe(recipe.steps(200)).start().unwrap();
            run.step(1).unwrap();
            let first = run.snr_db().unwrap();
            run.run().unwrap();
            let last = run.snr_db().unwrap();
            assert!(last > first + 2.0, "{what}: {first} dB after one step, {last} dB at the end");
            let metamer = run.finish().unwrap();
            let found = metamer.similarity().snr_db.unwrap();
            assert!(recipe_leaves_the_range(&what) || found >= last - 0.01, "{what}: {found} dB, {last} in the run");
        }
    }
}

/// plenoptic's pixels may leave the range; the metamer is clamped.
fn recipe_leaves_the_range(what: &str) -> bool {
    what.ends_with("plenoptic")
}

#[test]
fn compiled_and_layer_by_layer_gradients_agree() {
    for (name, matched) in matches() {
        let gradient = |plan: Synthesis| {
            let mut run = plan.recipe(Recipe::feather2019()).start().unwrap();
            run.step(1).unwrap();
            run.gradient_values().to_vec()
        };
        let (compiled, layers) = (gradient(plan(matched.clone())), gradient(plan(matched).layer_by_layer()));
        let off = crate::common::relative(&compiled, &layers);
        assert!(off < 1e-4, "{name}: gradients are {off} apart");
    }
}

#[test]
fn runs_resume_and_metamers_are_reproduced_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let with_penalties = |plan: Synthesis| {
        let plan = plan.penalty(Penalty::total_variation(0.01)).unwrap();
        let plan = plan.penalty(Penalty::away_from(0.1, [noise_image(7), noise_image(8)])).unwrap();
        plan.penalty(Penalty::spectrum(0.01, noise_image(9))).unwrap()
    };
    let mut plans: Vec<(String, Synthesis)> =
        matches().into_iter().map(|(name, matched)| (name.to_string(), plan(matched))).collect();
    plans.push(("penalties".into(), with_penalties(plan("relu2"))));
    plans.push(("a bound".into(), plan("relu2").within(Norm::L2, 2.0, noise_image(4)).unwrap()));
    plans.push(("penalties and a bound".into(), {
        with_penalties(plan("relu1").within(Norm::Linf, 0.1, noise_image(5)).unwrap())
    }));
    for (name, plan) in plans {
        let path = folder.path().join("a.run");
        let mut straight = plan.start().unwrap();
        straight.step(7).unwrap();
        straight.save(&path).unwrap();
        let mut resumed = Run::resume(&path, &small()).unwrap().quiet();
        straight.step(5).unwrap();
        resumed.step(5).unwrap();
        assert_eq!(bits(&straight), bits(&resumed), "{name}");
        assert_eq!(straight.target_snr_db(), resumed.target_snr_db(), "{name}");
        let metamer = straight.finish().unwrap();
        let path = folder.path().join("a.metamer");
        metamer.save(&path).unwrap();
        assert_eq!(Metamer::open(&path).unwrap(), metamer, "{name}");
        let again = Metamer::reproduce_with(&path, &small()).unwrap();
        assert!(again.is_identical(), "{name}: {again}");
    }
}

#[test]
fn the_joint_ratio_is_that_of_the_weighted_relative_errors() {
    let weights = [("relu1", 1.0), ("relu2", 3.0)];
    let mut run = plan(Match::stages(weights)).start().unwrap();
    run.step(6).unwrap();
    let each = run.target_snr_db();
    assert_eq!(each.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["relu1", "relu2"]);
    let error = |snr: f64| 10f64.powf(-snr / 10.0);
    let joint = -10.0 * ((error(each[0].1) + 3.0 * error(each[1].1)) / 4.0).log10();
    assert!((run.history().last().unwrap().snr_db - joint).abs() < 1e-9);
    let metamer = run.finish().unwrap();
    // Each target's measures are those of its stage.
    for found in metamer.matches() {
        let at = |stimulus: &Stimulus| {
            crate::common::flat(&small().forward_to(&found.target, &stimulus.to_tensor().unwrap()).unwrap())
        };
        let expected = Similarity::between(&at(metamer.original()), &at(metamer.stimulus())).unwrap();
        assert!((expected.snr_db.unwrap() - found.similarity.snr_db.unwrap()).abs() < 1e-3);
        assert!(metamer.similarity().pearson.unwrap() <= found.similarity.pearson.unwrap());
    }
    let text = metamer.mime_bundles()[0].plain().to_string();
    assert!(text.contains("stages 1 × relu1 + 3 × relu2") && text.contains("relu2: SNR"), "{text}");
}

#[test]
fn what_is_outside_of_a_part_is_free() {
    let mut run = plan(Target::stage("relu1").mask(&mask())).recipe(Recipe::near_start()).start().unwrap();
    run.until(40.0).unwrap();
    let start = plan("relu1").recipe(Recipe::near_start()).start().unwrap();
    let change = |x: usize| {
        let column = |run: &Run| (0..20).map(|y| run.pixels()[y * 16 + x]).collect::<Vec<f32>>();
        crate::common::max_difference(&column(&run), &column(&start))
    };
    // The receptive fields of the units in columns 0 to 7 end at column 8.
    assert!((0..8).all(|x| change(x) > 0.01) && (9..16).all(|x| change(x) == 0.0));
}

#[test]
fn a_texture_matches_statistics_and_not_places() {
    let mut run = plan(Target::stage("relu1").gram()).start().unwrap();
    run.until(30.0).unwrap();
    let metamer = run.finish().unwrap();
    let at = |stimulus: &Stimulus| {
        crate::common::flat(&small().forward_to("relu1", &stimulus.to_tensor().unwrap()).unwrap())
    };
    let places = snr_db(&at(metamer.original()), &at(metamer.stimulus())).unwrap().unwrap();
    assert!(metamer.similarity().snr_db.unwrap() >= 30.0 && places < 10.0, "{places} dB in places");
}

#[test]
fn penalties_change_what_is_left_free() {
    let outcome = |plan: Synthesis| {
        let mut run = plan.start().unwrap();
        run.run().unwrap();
        run.finish().unwrap()
    };
    let other = noise_image(6);
    let rms = |metamer: &Metamer| Norm::L2.distance(metamer.stimulus().values(), other.values());
    let plain = outcome(plan("relu2").recipe(Recipe::natural_prior().steps(60)));
    let near = outcome(
        plan("relu2").recipe(Recipe::natural_prior().steps(60)).penalty(Penalty::distance(1.0, &other)).unwrap(),
    );
    let far = outcome(
        plan("relu2").recipe(Recipe::natural_prior().steps(60)).penalty(Penalty::away_from(0.3, [&other])).unwrap(),
    );
    assert!(
        rms(&near) < 0.9 * rms(&plain) && rms(&far) > 1.1 * rms(&plain),
        "{} {} {}",
        rms(&near),
        rms(&plain),
        rms(&far)
    );
}

#[test]
fn a_bound_holds_at_every_step() {
    let center = noise_image(4);
    for (norm, eps) in [(Norm::L2, 1.5), (Norm::Linf, 0.05)] {
        for recipe in [Recipe::bounded(), Recipe::feather2023(), Recipe::plenoptic()] {
            let plan = plan("relu2").recipe(recipe).within(norm, eps, &center).unwrap();
            let mut run = plan.start().unwrap();
            assert_eq!(run.pixels(), center.values());
            for _ in 0..20 {
                run.step(1).unwrap();
                assert!(norm.distance(run.pixels(), center.values()) <= eps * (1.0 + 1e-5) + 1e-6);
            }
            assert!(run.snr_db().unwrap() > run.history()[0].snr_db);
            let metamer = run.finish().unwrap();
            assert!(norm.distance(metamer.stimulus().values(), center.values()) <= eps * (1.0 + 1e-5) + 1e-6);
        }
    }
    // A sound has its own recipe, and with it the noise of sounds.
    let hiss = || Sound::noise(16_000, 256, Noise::Pink { rms: 0.1 }, 9).unwrap();
    let sound = || Synthesis::new(&ear(), "fc", hiss()).unwrap().quiet();
    let coarse = sound().coarse_to_fine(2).unwrap().start().unwrap();
    let rms = coarse.current().sound().unwrap().rms();
    assert!((rms - 0.02).abs() < 1e-4, "{rms}");
    let swept = Sweep::new(&ear()).sounds([&hiss()]).coarse_to_fine(2).evaluations(2).quiet().run().unwrap();
    let bounded = sound().within(Norm::L2, 1.0, hiss()).unwrap().start().unwrap();
    for metamer in [coarse.finish().unwrap(), bounded.finish().unwrap(), swept.metamer(0).unwrap()] {
        assert_eq!(metamer.provenance().recipe, Recipe::by_name("bounded_sound").unwrap());
    }
    // Another start is moved within.
    let plan = plan("relu2").start_from(noise_image(9)).unwrap().within(Norm::L2, 1.0, &center).unwrap();
    assert!(Norm::L2.distance(plan.start().unwrap().pixels(), center.values()) < 1.0 + 1e-5);
}

#[test]
fn own_functions_are_checked_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let loss = || OwnLoss::new("squares", |a: &Tensor, b: &Tensor| Ok((a - b)?.sqr()?.sum_all()?));
    let dark = || Penalty::custom("dark", 0.1, |x: &Tensor| Ok(x.mean_all()?));
    let plan = plan("relu2").recipe(Recipe::feather2019()).loss(loss()).unwrap().penalty(dark()).unwrap();
    let mut run = plan.start().unwrap();
    run.step(3).unwrap();
    assert!(run.history()[2].loss < run.history()[0].loss);
    let metamer = run.finish().unwrap();
    assert_eq!(metamer.provenance().functions, ["the loss \"squares\"", "the penalty \"dark\""]);
    let path = folder.path().join("a.metamer");
    metamer.save(&path).unwrap();
    assert_eq!(Metamer::open(&path).unwrap(), metamer);
    let error = Metamer::reproduce_with(&path, &small()).unwrap_err().to_string();
    assert!(error.contains("the loss \"squares\"") && error.contains("cannot hold"), "{error}");
    let path = folder.path().join("a.run");
    run.save(&path).unwrap();
    assert!(Run::resume(&path, &small()).unwrap_err().to_string().contains("cannot hold"));
}

#[test]
fn own_functions_with_wrong_gradients_are_errors() {
    // A detached part has no gradient.
    let detached = OwnLoss::new("half detached", |a: &Tensor, b: &Tensor| {
        Ok(((a.sqr()?.sum_all()? + a.detach().sqr()?.sum_all()?)? - b.sum_all()?)?)
    });
    let error = plan("relu2").loss(detached).unwrap_err().to_string();
    assert!(error.contains("half detached") && error.contains("finite differences"), "{error}");
    let many = OwnLoss::new("many numbers", |a: &Tensor, _: &Tensor| Ok(a.sqr()?));
    assert!(plan("relu2").loss(many).unwrap_err().to_string().contains("one number"));
    let nan = Penalty::custom("nan", 1.0, |x: &Tensor| Ok((x.sum_all()? * f64::NAN)?));
    assert!(plan("relu2").penalty(nan).unwrap_err().to_string().contains("must be finite"));
    let detached = Penalty::custom("detached", 1.0, |x: &Tensor| Ok(x.detach().sum_all()?));
    let error = plan("relu2").penalty(detached).unwrap_err().to_string();
    assert!(error.contains("the penalty \"detached\""), "{error}");
}

#[test]
fn bad_goals_are_errors() {
    let error = |matched: Match| Synthesis::new(&small(), matched, noise_image(1)).unwrap_err().to_string();
    assert!(error(Match::stages(Vec::<(String, f64)>::new())).contains("names no stage"));
    assert!(error(Match::stages([("relu1", 1.0), ("relu9", 1.0)])).contains("did you mean relu1"));
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let message = error(Match::stages([("relu1", 1.0), ("relu2", weight)]));
        assert!(message.contains("relu2") && message.contains("positive and finite"), "{message}");
        let message = plan("relu2").penalty(Penalty::total_variation(weight)).unwrap_err().to_string();
        assert!(message.contains("total variation"), "{message}");
        assert!(plan("relu2").within(Norm::L2, weight, noise_image(2)).unwrap_err().to_string().contains("eps"));
    }
    assert!(error(Match::stages([("relu1", 1.0), ("relu1", 2.0)])).contains("relu1 twice"));
    assert!(error(Target::stage("relu2").channels([1, 8]).into()).contains("numbered 0 to 7, got 8"));
    assert!(error(Target::stage("relu2").channels([1, 1]).into()).contains("have 1 twice"));
    assert!(error(Target::stage("relu2").channels([]).into()).contains("empty list"));
    assert!(error(Target::stage("relu2").window([0, 0], [0, 5]).into()).contains("20 x 16"));
    assert!(error(Target::stage("relu2").window([10, 10], [5, 7]).into()).contains("outside"));
    let black = Image::from_gray("black", 16, 20, vec![0.0; 320]).unwrap();
    assert!(error(Target::stage("relu2").mask(&black).into()).contains("is empty"));
    let none = Penalty::away_from(1.0, Vec::<Image>::new());
    assert!(plan("relu2").penalty(none).unwrap_err().to_string().contains("at least one"));
    let plan = plan("relu2").within(Norm::L2, 1.0, noise_image(2)).unwrap().recipe(Recipe::natural_prior());
    assert!(plan.start().unwrap_err().to_string().contains("Recipe::bounded()"));
    let sound = zoo::cochcnn_words().unwrap();
    let word = Sound::open("speech/seven.wav").unwrap();
    let window = Target::stage("relu1").window([0, 0], [5, 5]);
    assert!(Synthesis::new(&sound, window, &word).unwrap_err().to_string().contains("takes sounds"));
}

#[test]
fn a_verdict_is_for_one_whole_stage() {
    let null = NullDistribution::builder(&small()).stimuli((2..6).map(noise_image)).unwrap().build().unwrap();
    let verdict = |matched: Match| {
        let mut run = plan(matched).start().unwrap();
        run.step(2).unwrap();
        run.finish().unwrap().verdict(&null)
    };
    assert!(verdict("relu2".into()).is_ok());
    assert!(verdict(Target::stage("relu2").weight(2.0).into()).is_ok());
    for (name, matched) in matches().into_iter().filter(|(_, matched)| matched.whole_stage().is_none()) {
        let error = verdict(matched).unwrap_err().to_string();
        assert!(error.contains("each whole stage"), "{name}: {error}");
    }
}

/// The loss of two stages of a network is that of plenoptic for a model that returns both, if each stage is weighted by its share of
/// units.
#[test]
fn mean_squared_errors_add_up_by_their_units() {
    let units = ["relu1", "relu2"].map(|stage| small().stage(stage).unwrap().units() as f64);
    let total = units[0] + units[1];
    let recipe = Recipe { loss: Loss::MeanSquaredError { range_penalty: 0.0 }, ..Recipe::plenoptic() };
    let both = Match::stages([("relu1", units[0] / total), ("relu2", units[1] / total)]);
    let plan = plan(both).recipe(recipe);
    let mut run = plan.start().unwrap();
    let start = run.current();
    run.step(1).unwrap();
    let at = |stimulus: &Stimulus| {
        let x = stimulus.to_tensor().unwrap();
        ["relu1", "relu2"].map(|stage| crate::common::flat(&small().forward_to(stage, &x).unwrap())).concat()
    };
    let (a, b) = (at(&noise_image(1).into()), at(&start));
    let mean = a.iter().zip(&b).map(|(&a, &b)| f64::from(a - b).powi(2)).sum::<f64>() / total;
    assert!((run.history()[0].loss - mean).abs() < 1e-5 * mean);
}

#[test]
fn coarse_structure_changes_first() {
    let start = || plan("relu2").recipe(Recipe::feather2023().steps(40)).coarse_to_fine(2).unwrap().start().unwrap();
    let mut run = start();
    let before = run.pixels().to_vec();
    run.step(5).unwrap();
    // Differences of neighbours are small for waves of at least 8 pixels, except where pixels were clamped.
    let change: Vec<f32> = run.pixels().iter().zip(&before).map(|(a, b)| a - b).collect();
    let energy = |values: &[f32]| values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
    let differences: Vec<f32> =
        change.chunks(16).flat_map(|row| row.windows(2).map(|pair| pair[1] - pair[0])).collect();
    assert!(energy(&differences) < 0.3 * energy(&change), "{} and {}", energy(&differences), energy(&change));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.run");
    run.save(&path).unwrap();
    let mut resumed = Run::resume(&path, &small()).unwrap().quiet();
    run.run().unwrap();
    resumed.run().unwrap();
    assert_eq!(bits(&run), bits(&resumed));
    assert!(run.snr_db().unwrap() > run.history()[0].snr_db + 2.0);
    for levels in [0, 7] {
        assert!(plan("relu2").coarse_to_fine(levels).unwrap_err().to_string().contains("1 to 6"));
    }
    let plan = plan("relu2").coarse_to_fine(2).unwrap().recipe(Recipe::natural_prior());
    assert!(plan.start().unwrap_err().to_string().contains("L-BFGS"));
}

#[test]
fn a_penalty_takes_the_place_of_the_return_of_the_default_recipe() {
    let recipe = |plan: Synthesis| plan.start().unwrap().finish().unwrap().provenance().recipe.clone();
    let penalty = || Penalty::total_variation(0.1);
    assert_eq!(recipe(plan("relu2")), Recipe::nearest());
    assert_eq!(recipe(plan("relu2").penalty(penalty()).unwrap()), Recipe::natural_prior());
    assert_eq!(recipe(plan("relu2").penalty(penalty()).unwrap().recipe(Recipe::nearest())), Recipe::nearest());
    let own = Recipe::nearest().steps(7);
    assert_eq!(recipe(plan("relu2").recipe(own.clone()).penalty(penalty()).unwrap()), own);
    // A bound and a penalty may come in any order.
    let within = |plan: Synthesis| plan.within(Norm::L2, 1.0, noise_image(2)).unwrap();
    let bounded = [
        within(plan("relu2").penalty(penalty()).unwrap()),
        within(plan("relu2")).penalty(penalty()).unwrap(),
        plan("relu2").penalty(penalty()).unwrap().coarse_to_fine(2).unwrap(),
    ];
    for plan in bounded {
        assert_eq!(recipe(plan), Recipe::bounded());
    }
    let explicit = within(plan("relu2").recipe(Recipe::natural_prior())).start().unwrap_err().to_string();
    assert!(explicit.contains("natural_prior uses L-BFGS"), "{explicit}");
}

#[test]
fn a_penalty_that_was_read_from_a_file_without_its_parts_is_an_error() {
    let read =
        |penalty: Penalty| -> Penalty { serde_json::from_str(&serde_json::to_string(&penalty).unwrap()).unwrap() };
    let custom = Penalty::custom("mine", 0.1, |x: &Tensor| Ok(x.sqr()?.sum_all()?));
    for penalty in
        [custom, Penalty::distance(0.1, noise_image(3)), Penalty::away_in(0.1, &small(), "relu1", [noise_image(3)])]
    {
        let error = plan("relu1").penalty(read(penalty)).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("lacks its"), "{error}");
    }
    assert!(plan("relu1").penalty(read(Penalty::total_variation(0.1))).is_ok());
}
