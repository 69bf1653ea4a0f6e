//! NullDistribution distributions and verdicts, on the real network and on what ships.

use metamers::prelude::{networks::*, *};
use metamers::similarity::Distribution;

fn photo(name: &str) -> Image {
    Image::open(format!("photos/{name}.jpg")).unwrap()
}

fn null_of(net: &Network, stage: &str, count: usize) -> NullDistribution {
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
fn every_shipped_network_has_a_null_of_its_own_weights_at_every_stage() {
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
fn the_extremes_of_the_shipped_null_are_those_of_the_photos_it_names() {
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
    close(|s| s.spearman, &stage.most_alike[0], &stage.spearman);
    close(|s| s.pearson, &stage.most_alike[1], &stage.pearson);
    close(|s| s.snr_db, &stage.most_alike[2], &stage.snr_db);
}

#[test]
fn a_metamer_is_told_from_one_that_is_not_yet() {
    let net = zoo::efficientnet_lite0().unwrap();
    let null = NullDistribution::shipped(&net).unwrap();
    let early = metamer(&net, "block2", 1).verdict(&null).unwrap();
    assert_eq!(early.outcome, Outcome::NotYet, "{early:?}");
    assert!(!early.well_matched);
    let done = metamer(&net, "block2", 90);
    let verdict = done.verdict(&null).unwrap();
    assert_eq!(verdict.outcome, Outcome::Metamer, "{verdict:?}");
    assert!(verdict.well_matched && verdict.snr_db.p <= 1.0 / 5000.0);
    assert_eq!(verdict.original.as_ref().unwrap().class, verdict.metamer.as_ref().unwrap().class);
    // A million pairs are not there.
    let strict = done.verdict_at(&null, 0.999_999).unwrap();
    assert_eq!(strict.outcome, Outcome::NotEnoughEvidence);
    assert!(strict.reason.contains("0.999999 was asked for"), "{}", strict.reason);
}

#[test]
fn a_good_match_with_another_class_is_no_metamer() {
    let net = zoo::efficientnet_lite0().unwrap();
    let null = NullDistribution::shipped(&net).unwrap();
    // On the way to a match at block5 the network is soon past chance, and still says something else.
    let verdicts = (2..16).map(|steps| metamer(&net, "block5", steps).verdict(&null).unwrap());
    let verdict = verdicts.into_iter().find(|v| v.outcome == Outcome::WrongClass).expect("some step lies in between");
    assert!(verdict.snr_db.beyond_chance() && verdict.spearman.beyond_chance() && verdict.pearson.beyond_chance());
    assert_ne!(verdict.original.as_ref().unwrap().class, verdict.metamer.as_ref().unwrap().class);
    assert!(verdict.reason.contains("but the network says"), "{}", verdict.reason);
}

#[test]
fn a_null_of_few_pairs_decides_nothing() {
    let net = zoo::efficientnet_lite0().unwrap();
    let null = null_of(&net, "block0", 6);
    assert_eq!(null.pairs(), 15);
    let verdict = metamer(&net, "block0", 30).verdict(&null).unwrap();
    assert_eq!(verdict.outcome, Outcome::NotEnoughEvidence, "{verdict:?}");
    assert!(verdict.reason.contains("15 pairs tell a quantile of 0.9333 at most"), "{}", verdict.reason);
    assert_eq!(metamer(&net, "block0", 30).verdict_at(&null, 0.9).unwrap().outcome, Outcome::Metamer);
    assert!(metamer(&net, "stem", 1).verdict(&null).unwrap_err().to_string().contains("known: block0"));
    assert!(metamer(&net, "block0", 1).verdict_at(&null, 1.0).is_err());
    let other = NullDistribution::shipped(&zoo::cochcnn_words().unwrap()).unwrap();
    assert!(metamer(&net, "block0", 1).verdict(&other).unwrap_err().to_string().contains("cochcnn_words"));
}

#[test]
fn twins_are_found_and_can_be_left_out() {
    let net = zoo::efficientnet_lite0().unwrap();
    let dog = net.prepare(photo("dog")).unwrap().image().unwrap().clone();
    let faded = dog.values().iter().map(|v| 0.9 * v + 0.05).collect();
    let faded = Image::from_planes("faded dog", dog.width(), dog.height(), faded).unwrap();
    let begun = NullDistribution::builder(&net).stages(["block2"]).unwrap();
    let begun = begun.stimuli([dog, faded, photo("red_panda"), photo("brook")]).unwrap();
    let with = begun.clone().build().unwrap();
    assert_eq!((with.near_duplicates().len(), with.pairs()), (1, 6));
    assert_eq!(
        (with.near_duplicates()[0].first.as_str(), with.near_duplicates()[0].second.as_str()),
        ("dog", "faded dog")
    );
    let words = with.mime_bundles()[0].plain().to_string();
    assert!(words.contains("dog and faded dog"), "{words}");
    let without = begun.leave_out_twins().build().unwrap();
    assert_eq!(without.pairs(), 5);
    assert!(without.stage("block2").unwrap().snr_db.max() < with.stage("block2").unwrap().snr_db.max());
}

#[test]
fn a_null_is_the_same_bits_whatever_the_number_of_threads_and_after_a_file() {
    let net = zoo::efficientnet_lite0().unwrap();
    let by = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| null_of(&net, "block2", 5))
    };
    let (one, two) = (by(1), by(2));
    assert_eq!(one, two);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("null.json");
    one.save(&path).unwrap();
    assert_eq!(NullDistribution::open(&path).unwrap(), one);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    assert!(NullDistribution::open(&path).unwrap_err().to_string().contains("no intact null distribution"));
    std::fs::write(&path, text.replacen("\"format\":1", "\"format\":7", 1)).unwrap();
    assert!(NullDistribution::open(&path).unwrap_err().to_string().contains("format 7"));
}

#[test]
fn impossible_nulls_are_refused() {
    let net = zoo::efficientnet_lite0().unwrap();
    let none = NullDistribution::builder(&net);
    assert!(none.clone().build().unwrap_err().to_string().contains("2 to 4000"));
    assert!(none.clone().stages(["blok2"]).unwrap_err().to_string().contains("block2"));
    let grey = Image::from_planes("grey", 224, 224, vec![0.5; 3 * 224 * 224]).unwrap();
    let same = none.stages(["logits"]).unwrap().stimuli([grey.clone(), grey]).unwrap().build();
    assert!(same.unwrap_err().to_string().contains("no two of the stimuli"));
}

#[test]
fn earlier_stages_differ_and_later_ones_follow() {
    let net = zoo::efficientnet_lite0().unwrap();
    let null = NullDistribution::shipped(&net).unwrap();
    let profile = metamer(&net, "block2", 90).at_every_stage(&net, Some(&null)).unwrap();
    let snr = |stage: &str| profile.stages().iter().find(|s| s.stage == stage).unwrap().similarity.snr_db.unwrap();
    assert_eq!(profile.matched().unwrap().stage, "block2");
    assert!(snr("stem") < snr("block2") - 5.0, "{} at the stem, {} at block2", snr("stem"), snr("block2"));
    assert!(snr("block3") > profile.stages()[4].chance_snr_db.unwrap());
    assert!(profile.mime_bundles()[0].plain().contains("block2 (matched)"));
    let ear = zoo::cochcnn_words().unwrap();
    assert!(metamer(&net, "stem", 1).at_every_stage(&ear, None).is_err());
}

#[test]
fn judges_agree_with_themselves_and_strangers_may_not() {
    let net = zoo::efficientnet_lite0().unwrap();
    let made = [metamer(&net, "block0", 60), metamer(&net, "block2", 90)];
    let matrix = CrossNetwork::new(&made, std::slice::from_ref(&net)).unwrap();
    let cells: Vec<_> =
        matrix.cells().iter().map(|c| (c.stage.as_str(), c.same_class.hits(), c.same_class.total())).collect();
    let same = |m: &Metamer| usize::from(m.same_class() == Some(true));
    assert_eq!(cells, [("block0", same(&made[0]), 1), ("block2", same(&made[1]), 1)]);
    let ear = zoo::cochcnn_words().unwrap();
    assert!(CrossNetwork::new(&made, &[ear]).unwrap_err().to_string().contains("takes sounds"));
    assert!(CrossNetwork::new(&[], &[net]).is_err());
    assert!(matrix.mime_bundles()[1].plain().contains("judged by EfficientNet-Lite0"));
}
