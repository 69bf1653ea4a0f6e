//! Null distributions, verdicts, stage profiles and judgements by other networks, on the shipped networks.

use metamers::prelude::{networks::*, *};
use metamers::similarity::Distribution;
use metamers::synthesis::Prior;

fn photo(name: &str) -> Image {
    Image::open(format!("photos/{name}.jpg")).unwrap()
}

fn null_distribution(net: &Network, stage: &str, count: usize) -> NullDistribution {
    let photos = shipped_photos().unwrap();
    let images = photos.iter().take(count).map(|photo| Image::open(photo).unwrap());
    NullDistribution::builder(net).stages([stage]).unwrap().stimuli(images).unwrap().build().unwrap()
}

fn metamer(net: &Network, stage: &str, steps: usize) -> Metamer {
    let mut run = Synthesis::new(net, stage, photo("dog")).unwrap().seed(3).quiet().start().unwrap();
    run.step(steps).unwrap();
    run.finish().unwrap()
}

#[test]
fn every_shipped_network_has_a_null_distribution_at_every_stage() {
    let networks = [
        zoo::efficientnet_lite0(),
        zoo::cochcnn_words(),
        zoo::cochcnn_words_hann(),
        zoo::cochcnn_words_untrained(),
        zoo::crepe_tiny(),
    ];
    for net in networks {
        let net = net.unwrap();
        let null = NullDistribution::shipped(&net).unwrap();
        let stages: Vec<&str> = net.stages().iter().map(|s| s.name.as_str()).collect();
        assert_eq!(null.stages().iter().map(|s| s.stage.as_str()).collect::<Vec<_>>(), stages);
        assert!(null.pairs() >= 3000, "{}: {}", net.name(), null.pairs());
    }
}

#[test]
fn the_extremes_of_the_shipped_null_distribution_come_from_the_named_photos() {
    let net = zoo::efficientnet_lite0().unwrap();
    let null = NullDistribution::shipped(&net).unwrap();
    let stage = null.stage("block5").unwrap();
    let activations = |name: &str| -> Vec<f32> {
        let x = net.prepare(photo(&name.replace(' ', "_"))).unwrap().to_tensor().unwrap();
        net.forward_to("block5", &x).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    let close = |measure: fn(&Similarity) -> Option<f64>, [a, b]: &[String; 2], d: &Distribution| {
        let found = measure(&Similarity::between(&activations(a), &activations(b)).unwrap()).unwrap();
        assert!((found - d.max()).abs() < 1e-4, "{a} and {b}: {found}, not {}", d.max());
    };
    close(|s| s.spearman, &stage.most_similar[0], &stage.spearman);
    close(|s| s.pearson, &stage.most_similar[1], &stage.pearson);
    close(|s| s.snr_db, &stage.most_similar[2], &stage.snr_db);
}

#[test]
fn verdicts_distinguish_converged_from_early_metamers() {
    let net = zoo::efficientnet_lite0().unwrap();
    let null = NullDistribution::shipped(&net).unwrap();
    let early = metamer(&net, "block2", 1).verdict(&null).unwrap();
    assert_eq!(early.outcome, Outcome::NotYet, "{early:?}");
    assert!(!early.well_matched && early.grade() == Grade::Fails);
    let done = metamer(&net, "block2", 90);
    let verdict = done.verdict(&null).unwrap();
    assert_eq!(verdict.outcome, Outcome::Metamer, "{verdict:?}");
    assert_eq!((verdict.grade(), verdict.prior), (Grade::WellMatched, Prior::NotSettled));
    let shown = verdict.mime_bundles()[0].plain().to_string();
    assert!(shown.contains("✓ metamer (well matched)") && shown.contains("recipe nearest"), "{shown}");
    assert!(verdict.well_matched && verdict.snr_db.p <= 1.0 / 5000.0);
    assert_eq!(verdict.original.as_ref().unwrap().class, verdict.metamer.as_ref().unwrap().class);
    // The null distribution has fewer than a million pairs.
    let strict = done.verdict_at(&null, 0.999_999).unwrap();
    assert_eq!(strict.outcome, Outcome::NotEnoughEvidence);
    assert_eq!(strict.grade(), Grade::Undecided);
    assert!(strict.reason.contains("the requested one is 0.999999"), "{}", strict.reason);
}

#[test]
fn a_metamer_tells_whether_its_run_had_settled_also_from_a_file() {
    let net = zoo::efficientnet_lite0().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dog.metamer");
    let mut run = Synthesis::new(&net, "stem", photo("dog")).unwrap().seed(3).quiet().start().unwrap();
    run.step(3).unwrap();
    let early = run.finish().unwrap();
    assert_eq!(early.prior(), Prior::NotSettled);
    early.save(&path).unwrap();
    assert_eq!(Metamer::open(&path).unwrap().prior(), Prior::NotSettled);
    assert_eq!(run.run().unwrap().stop_reason, StopReason::Settled);
    run.finish().unwrap().save(&path).unwrap();
    assert_eq!(Metamer::open(&path).unwrap().prior(), Prior::NearestToStart);
}

#[test]
fn a_good_match_of_another_class_is_not_a_metamer() {
    let net = zoo::efficientnet_lite0().unwrap();
    let null = NullDistribution::shipped(&net).unwrap();
    // During synthesis at block5, the match exceeds the null distribution before the class is correct.
    let verdicts = (2..16).map(|steps| metamer(&net, "block5", steps).verdict(&null).unwrap());
    let verdict = verdicts
        .into_iter()
        .find(|v| v.outcome == Outcome::WrongClass)
        .expect("an intermediate step has the wrong class");
    assert!(verdict.snr_db.exceeds_null() && verdict.spearman.exceeds_null() && verdict.pearson.exceeds_null());
    assert_ne!(verdict.original.as_ref().unwrap().class, verdict.metamer.as_ref().unwrap().class);
    assert!(verdict.reason.contains("but the network classifies the metamer as"), "{}", verdict.reason);
}

#[test]
fn a_null_distribution_of_few_pairs_is_not_enough_evidence() {
    let net = zoo::efficientnet_lite0().unwrap();
    let null = null_distribution(&net, "block0", 6);
    assert_eq!(null.pairs(), 15);
    let verdict = metamer(&net, "block0", 30).verdict(&null).unwrap();
    assert_eq!(verdict.outcome, Outcome::NotEnoughEvidence, "{verdict:?}");
    assert!(verdict.reason.contains("15 pairs support quantiles up to 0.9333"), "{}", verdict.reason);
    assert_eq!(metamer(&net, "block0", 30).verdict_at(&null, 0.9).unwrap().outcome, Outcome::Metamer);
    assert!(metamer(&net, "stem", 1).verdict(&null).unwrap_err().to_string().contains("known: block0"));
    assert!(metamer(&net, "block0", 1).verdict_at(&null, 1.0).is_err());
    let unrelated = NullDistribution::shipped(&zoo::cochcnn_words().unwrap()).unwrap();
    assert!(metamer(&net, "block0", 1).verdict(&unrelated).unwrap_err().to_string().contains("cochcnn_words"));
}

#[test]
fn near_duplicates_are_detected_and_can_be_excluded() {
    let net = zoo::efficientnet_lite0().unwrap();
    let dog = net.prepare(photo("dog")).unwrap().image().unwrap().clone();
    let faded = dog.values().iter().map(|v| 0.9 * v + 0.05).collect();
    let faded = Image::from_planes("faded dog", dog.width(), dog.height(), faded).unwrap();
    let builder = NullDistribution::builder(&net).stages(["block2"]).unwrap();
    let builder = builder.stimuli([dog, faded, photo("red_panda"), photo("brook")]).unwrap();
    let with = builder.clone().build().unwrap();
    assert_eq!((with.near_duplicates().len(), with.pairs()), (1, 6));
    assert_eq!(
        (with.near_duplicates()[0].first.as_str(), with.near_duplicates()[0].second.as_str()),
        ("dog", "faded dog")
    );
    let text = with.mime_bundles()[0].plain().to_string();
    assert!(text.contains("dog and faded dog"), "{text}");
    let without = builder.exclude_near_duplicates().build().unwrap();
    assert_eq!(without.pairs(), 5);
    assert!(without.stage("block2").unwrap().snr_db.max() < with.stage("block2").unwrap().snr_db.max());
}

#[test]
fn null_distributions_are_bit_identical_for_any_number_of_threads_and_after_saving() {
    let net = zoo::efficientnet_lite0().unwrap();
    let by = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| null_distribution(&net, "block2", 5))
    };
    let (one, two) = (by(1), by(2));
    assert_eq!(one, two);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("null.json");
    one.save(&path).unwrap();
    assert_eq!(NullDistribution::open(&path).unwrap(), one);
    assert!(one.save(folder.path().join("null.html")).unwrap_err().to_string().contains("saved as .json"));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    assert!(NullDistribution::open(&path).unwrap_err().to_string().contains("not a valid null distribution"));
    std::fs::write(&path, text.replacen("\"format\":1", "\"format\":7", 1)).unwrap();
    assert!(NullDistribution::open(&path).unwrap_err().to_string().contains("format 7"));
}

#[test]
fn invalid_null_distributions_are_errors() {
    let net = zoo::efficientnet_lite0().unwrap();
    let builder = NullDistribution::builder(&net);
    assert!(builder.clone().build().unwrap_err().to_string().contains("2 to 4000"));
    assert!(builder.clone().stages(["blok2"]).unwrap_err().to_string().contains("block2"));
    let gray = Image::from_planes("gray", 224, 224, vec![0.5; 3 * 224 * 224]).unwrap();
    let result = builder.stages(["logits"]).unwrap().stimuli([gray.clone(), gray]).unwrap().build();
    assert!(result.unwrap_err().to_string().contains("no pair of stimuli"));
}

#[test]
fn a_stage_profile_matches_only_from_the_synthesized_stage_on() {
    let net = zoo::efficientnet_lite0().unwrap();
    let null = NullDistribution::shipped(&net).unwrap();
    let profile = metamer(&net, "block2", 90).stage_profile(&net, Some(&null)).unwrap();
    let snr = |stage: &str| profile.stages().iter().find(|s| s.stage == stage).unwrap().similarity.snr_db.unwrap();
    assert_eq!(profile.matched().unwrap().stage, "block2");
    assert!(snr("stem") < snr("block2") - 5.0, "{} at the stem, {} at block2", snr("stem"), snr("block2"));
    assert!(snr("block3") > profile.stages()[4].null_max_snr_db.unwrap());
    assert!(profile.mime_bundles()[0].plain().contains("block2 (matched)"));
    let sound_net = zoo::cochcnn_words().unwrap();
    assert!(metamer(&net, "stem", 1).stage_profile(&sound_net, None).is_err());
}

#[test]
fn a_network_that_judges_its_own_metamers_agrees_with_their_classes() {
    let net = zoo::efficientnet_lite0().unwrap();
    let made = [metamer(&net, "block0", 60), metamer(&net, "block2", 90)];
    let matrix = CrossNetwork::new(&made, std::slice::from_ref(&net)).unwrap();
    let cells: Vec<_> =
        matrix.cells().iter().map(|c| (c.stage.as_str(), c.same_class.hits(), c.same_class.total())).collect();
    let same = |m: &Metamer| usize::from(m.same_class() == Some(true));
    assert_eq!(cells, [("block0", same(&made[0]), 1), ("block2", same(&made[1]), 1)]);
    let sound_net = zoo::cochcnn_words().unwrap();
    assert!(CrossNetwork::new(&made, &[sound_net]).unwrap_err().to_string().contains("takes sounds"));
    assert!(CrossNetwork::new(&[], &[net]).is_err());
    assert!(matrix.mime_bundles()[1].plain().contains("judged by EfficientNet-Lite0"));
}
