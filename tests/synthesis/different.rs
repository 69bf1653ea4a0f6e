//! Several different metamers, films, and comparisons of original and metamer.

use image::AnimationDecoder;
use metamers::network::{Builder, Input};
use metamers::ops::{Conv2d, Conv2dConfig, Padding, Relu};
use metamers::prelude::*;
use metamers::synthesis::{Different, Norm, Penalty, Target, correlation_distance_of_pairs, mean_pairwise_distance};
use rand::{RngExt, SeedableRng};

/// A strided convolution with a ReLU: fewer units than there are pixels, so that much is free.
fn net() -> Network {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
    let values = (0..4 * 27).map(|_| random.random_range(-0.4..0.4f32)).collect();
    let weight = Tensor::from_vec(values, (4, 3, 3, 3), &Device::Cpu).unwrap();
    let config = Conv2dConfig { stride: [2; 2], padding: Padding::all(1), ..Default::default() };
    let mut b = Builder::new("free", Input::Image { shape: [3, 20, 16], resize: 20 });
    let x = b.conv2d(b.input(), Conv2d::new(&weight, None, config).unwrap()).unwrap();
    let x = b.relu(x, Relu::UNBOUNDED).unwrap();
    b.stage("relu", x).unwrap();
    b.finish().unwrap()
}

fn photo() -> Image {
    Image::noise(16, 20, Noise::Uniform { low: 0.1, high: 0.9 }, 1).unwrap().with_name("photo")
}

fn plan(seed: u64) -> Synthesis {
    Synthesis::new(&net(), "relu", photo()).unwrap().seed(seed).quiet()
}

#[test]
fn different_metamers_are_further_apart_than_seeds_at_an_equal_match() {
    let seeds: Vec<Metamer> = (0..3)
        .map(|seed| {
            let mut run = plan(seed).start().unwrap();
            run.until(20.0).unwrap();
            run.finish().unwrap()
        })
        .collect();
    let mut different = plan(0).different(3, 0.2).unwrap();
    assert_eq!(different.until(20.0).unwrap(), StopReason::Matched);
    let lowest =
        |metamers: &[Metamer]| metamers.iter().map(|m| m.similarity().snr_db.unwrap()).fold(f64::INFINITY, f64::min);
    assert!(lowest(different.metamers()) >= 19.99, "{} dB", lowest(different.metamers()));
    let (apart, of_seeds) = (different.mean_distance().unwrap(), mean_pairwise_distance(&seeds).unwrap());
    assert!(apart > 1.5 * of_seeds, "{apart} apart, seeds {of_seeds}");
    let table = different.table().mime_bundles()[0].plain().to_string();
    assert!(table.contains("metamer 3") && table.contains("0.000"), "{table}");
    assert!(different.mime_bundles()[0].plain().contains("mean rms difference"));
    // The last run of each is reproduced from its file.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("second.metamer");
    different.metamers()[1].save(&path).unwrap();
    assert!(Metamer::reproduce_with(&path, &net()).unwrap().is_identical());
}

#[test]
fn a_push_that_is_too_strong_is_relaxed() {
    let short = Recipe::natural_prior().steps(200);
    let mut different = plan(0).recipe(short).different(2, 50.0).unwrap();
    assert_eq!(different.until(20.0).unwrap(), StopReason::Matched);
    assert!(different.metamers().iter().all(|m| m.similarity().snr_db.unwrap() >= 19.99));
}

#[test]
fn numbers_and_weights_are_checked() {
    for count in [0, 1, 65] {
        assert!(plan(0).different(count, 0.1).unwrap_err().to_string().contains("2 to 64"));
    }
    for weight in [0.0, f64::NAN, -1.0] {
        assert!(plan(0).different(2, weight).unwrap_err().to_string().contains("positive and finite"));
    }
    let coarse = plan(0).coarse_to_fine(2).unwrap();
    let bounded = plan(0).within(Norm::Linf, 0.1, photo()).unwrap();
    for restricted in [coarse, bounded] {
        let message = restricted.different(2, 0.1).unwrap_err().to_string();
        assert!(message.contains("cannot be combined"), "{message}");
    }
}

#[test]
fn a_film_is_recorded_saved_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = plan(1).start().unwrap();
    assert!(run.record_every(0).unwrap_err().to_string().contains("at least 1"));
    assert!(run.finish().unwrap().film().unwrap_err().to_string().contains("run.record_every(5)?"));
    run.record_every(3).unwrap();
    run.step(7).unwrap();
    let path = folder.path().join("a.run");
    run.save(&path).unwrap();
    let mut resumed = Run::resume(&path, &net()).unwrap().quiet();
    run.step(3).unwrap();
    resumed.step(3).unwrap();
    let film = run.finish().unwrap().film().unwrap();
    assert_eq!(film.steps(), [0, 3, 6, 9]);
    assert!(resumed.finish().unwrap().film().unwrap() == film);
    let path = folder.path().join("a.metamer");
    run.finish().unwrap().save(&path).unwrap();
    assert!(Metamer::open(&path).unwrap().film().unwrap() == film);
    let bytes = |name: &str| {
        let path = folder.path().join(name);
        film.export(&path).unwrap();
        std::fs::read(path).unwrap()
    };
    let (gif, png, html) = (bytes("a.gif"), bytes("a.PNG"), bytes("a.html"));
    assert!(gif.starts_with(b"GIF89a") && gif.windows(11).any(|part| part == b"NETSCAPE2.0"));
    let contains = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|part| part == word);
    assert!(png.starts_with(b"\x89PNG") && contains(&png, b"acTL") && contains(&png, b"fdAT"));
    let page = String::from_utf8(html).unwrap();
    assert_eq!(page.matches("data:image/jpeg;base64,").count(), 4);
    assert!(!page.contains("{{") && page.contains("step 9, SNR"), "the page has its frames");
    // The first frame is the start: to half a grey level of 8 bits in the PNG, up to a palette of 256 colors in the GIF.
    let start = plan(1).start().unwrap().current();
    let differences = |name: &str| {
        let first = Image::open(folder.path().join(name)).unwrap();
        first.values().iter().zip(start.values()).map(|(a, b)| (a - b).abs()).collect::<Vec<f32>>()
    };
    assert!(differences("a.PNG").iter().all(|off| *off < 0.51 / 255.0));
    let mean = differences("a.gif").iter().sum::<f32>() / 960.0;
    assert!(mean < 0.03, "{mean}");
    let webp = image::codecs::webp::WebPDecoder::new(std::io::Cursor::new(bytes("a.webp"))).unwrap();
    let shown: Vec<image::Frame> = webp.into_frames().collect_frames().unwrap();
    let seen = |frame: &image::Frame| image::DynamicImage::from(frame.buffer().clone()).to_rgb8().into_raw();
    assert!(shown.iter().map(seen).eq(film.frames().iter().map(|frame| frame.rgb().to_vec())), "WebP is without loss");
    let times: Vec<u32> = shown.iter().map(|frame| frame.delay().numer_denom_ms().0).collect();
    assert_eq!(times, [100, 100, 100, 1500]);
    assert!(differences("a.webp").iter().all(|off| *off < 0.51 / 255.0));
    let error = film.export(folder.path().join("a.mp4")).unwrap_err().to_string();
    assert!(error.contains(".gif") && error.contains("a.mp4"), "{error}");
    assert!(film.mime_bundles()[0].data()["text/html"].contains("data:image/gif;base64,"));
}

#[test]
fn the_frames_of_a_film_have_the_ratios_of_their_pictures() {
    let folder = tempfile::tempdir().unwrap();
    for recipe in [Recipe::bounded(), Recipe::feather2023()] {
        let mut run = plan(1).recipe(recipe).start().unwrap();
        run.record_every(1).unwrap();
        run.step(3).unwrap();
        let path = folder.path().join("frames.html");
        run.finish().unwrap().film().unwrap().export(&path).unwrap();
        let page = std::fs::read_to_string(&path).unwrap();
        // Each step begins with an evaluation of the picture before it.
        assert_eq!(run.history().len(), 3);
        for (step, point) in run.history().iter().enumerate() {
            let caption = format!("step {step}, SNR {:.1} dB", point.snr_db);
            assert!(page.contains(&caption), "{caption}");
        }
    }
}

#[test]
fn a_long_film_drops_every_second_frame() {
    let mut run = plan(1).recipe(Recipe::feather2023()).start().unwrap();
    run.record_every(1).unwrap();
    run.step(450).unwrap();
    let steps = run.finish().unwrap().film().unwrap().steps();
    assert!(steps.len() <= 200 && steps.iter().enumerate().all(|(i, step)| *step == 4 * i), "{steps:?}");
}

#[test]
fn a_comparison_finds_where_the_match_fails() {
    let mask =
        Image::from_gray("left", 16, 20, (0..320).map(|i| if i % 16 < 8 { 1.0 } else { 0.0 }).collect()).unwrap();
    let part = Target::stage("relu").mask(&mask);
    let mut run = Synthesis::new(&net(), part, photo()).unwrap().recipe(Recipe::near_start()).quiet().start().unwrap();
    run.until(30.0).unwrap();
    let metamer = run.finish().unwrap();
    // The whole stage of a metamer of its left half, by a run that takes no step.
    let whole = plan(0).start_from(metamer.stimulus()).unwrap().start().unwrap().finish().unwrap();
    let comparison = whole.compare(&net()).unwrap();
    let errors = comparison.place_errors(0).unwrap();
    assert_eq!(errors.len(), 80);
    let mean = |columns: std::ops::Range<usize>| {
        let inside: Vec<f32> = (0..80).filter(|i| columns.contains(&(i % 8))).map(|i| errors[i]).collect();
        inside.iter().sum::<f32>() / inside.len() as f32
    };
    assert!(mean(0..4) < 0.1 * mean(4..8), "{} and {}", mean(0..4), mean(4..8));
    assert_eq!(comparison.channel_errors(0).unwrap().len(), 4);
    assert!(comparison.error_map(0).is_some() && comparison.error_overlay(0).is_some());
    assert!(comparison.place_errors(1).is_none());
    assert!(comparison.mime_bundles()[0].png_bytes().is_some());
    // A part has no map, but histograms and channels.
    let part = metamer.compare(&net()).unwrap();
    assert!(part.error_map(0).is_none() && part.feature_histogram(0).is_some());
    assert!(metamer.compare(&zoo::efficientnet_lite0().unwrap()).is_err());
}

/// Another network of the same input, with other weights.
fn other_net(side: usize) -> Network {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(8);
    let values = (0..6 * 27).map(|_| random.random_range(-0.4..0.4f32)).collect();
    let weight = Tensor::from_vec(values, (6, 3, 3, 3), &Device::Cpu).unwrap();
    let config = Conv2dConfig { stride: [2; 2], padding: Padding::all(1), ..Default::default() };
    let mut b = Builder::new("other", Input::Image { shape: [3, side, 16], resize: side });
    let x = b.conv2d(b.input(), Conv2d::new(&weight, None, config).unwrap()).unwrap();
    let x = b.relu(x, Relu::UNBOUNDED).unwrap();
    b.stage("relu", x).unwrap();
    b.finish().unwrap()
}

fn correlation_distance(a: &Tensor, b: &Tensor) -> f64 {
    let centered = |a: &Tensor| a.broadcast_sub(&a.mean_all().unwrap()).unwrap();
    let product = |a: &Tensor, b: &Tensor| {
        f64::from((centered(a) * centered(b)).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap())
    };
    1.0 - product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

#[test]
fn metamers_of_one_network_are_pushed_apart_in_the_features_of_another() {
    let other = other_net(20);
    let make = |apart_in: bool| {
        let different = plan(0).different(3, 0.2).unwrap();
        let mut different = if apart_in { different.apart_in(&other, "relu").unwrap() } else { different };
        assert_eq!(different.until(20.0).unwrap(), StopReason::Matched);
        different
    };
    let (in_pixels, in_features) = (make(false), make(true));
    let distance =
        |different: &Different| correlation_distance_of_pairs(different.metamers(), &other, "relu").unwrap().unwrap();
    let (apart, of_pixels) = (distance(&in_features), distance(&in_pixels));
    assert!(apart > of_pixels, "{apart} apart in features, {of_pixels} of those apart in pixels");
    let all = in_features.metamers();
    assert!(all.iter().all(|metamer| metamer.similarity().snr_db.unwrap() >= 19.99));
    // By hand, from activations.
    let features = |i: usize| {
        let x = all[i].stimulus().to_tensor().unwrap();
        other.forward_to("relu", &x).unwrap().flatten_all().unwrap()
    };
    let pair = |i, j| {
        let distance = correlation_distance(&features(i), &features(j));
        assert!(distance > 0.0);
        distance
    };
    let by_hand = (pair(1, 0) + pair(2, 0) + pair(2, 1)) / 3.0;
    assert!((by_hand - apart).abs() < 1e-4, "{by_hand} by hand, {apart}");
    // The file names the other network, which it does not hold.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("second.metamer");
    all[1].save(&path).unwrap();
    let message = Metamer::reproduce_with(&path, &net()).unwrap_err().to_string();
    assert!(message.contains("away from metamer 1 in relu of other") && message.contains("cannot hold"), "{message}");
}

#[test]
fn the_penalty_in_other_features_has_the_value_of_its_formula() {
    let other = other_net(20);
    let dog = photo();
    let shifted = Image::noise(16, 20, Noise::Uniform { low: 0.1, high: 0.9 }, 9).unwrap();
    let distance = |x: &Image| {
        let features = |x: &Image| other.forward_to("relu", &x.to_tensor().unwrap()).unwrap().flatten_all().unwrap();
        correlation_distance(&features(x), &features(&dog))
    };
    let loss = |weight: Option<f64>, x: &Image| {
        let synthesis = plan(0).recipe(Recipe::near_start()).start_from(x).unwrap();
        let synthesis = match weight {
            Some(weight) => synthesis.penalty(Penalty::away_in(weight, &other, "relu", [&dog])).unwrap(),
            None => synthesis,
        };
        let mut run = synthesis.start().unwrap();
        run.step(1).unwrap();
        run.history().first().unwrap().loss
    };
    let added = loss(Some(0.5), &shifted) - loss(None, &shifted);
    assert!((added + 0.5 * distance(&shifted)).abs() < 1e-4, "{added} was added, {}", distance(&shifted));
}

#[test]
fn other_features_are_checked() {
    let different = || plan(0).different(2, 0.1).unwrap();
    let message = different().apart_in(&other_net(22), "relu").unwrap_err().to_string();
    assert!(message.contains("[3, 22, 16]") && message.contains("[3, 20, 16]"), "{message}");
    let mut made = different();
    made.until(5.0).unwrap();
    let message = correlation_distance_of_pairs(made.metamers(), &other_net(22), "relu").unwrap_err().to_string();
    assert!(message.contains("22, 16"), "{message}");
    let message = different().apart_in(&other_net(20), "relv").unwrap_err().to_string();
    assert!(message.contains("relu"), "{message}");
    let mut begun = different();
    begun.until(5.0).unwrap();
    assert!(begun.apart_in(&other_net(20), "relu").unwrap_err().to_string().contains("before until"));
    let none: [&Image; 0] = [];
    let message = plan(0).penalty(Penalty::away_in(0.1, &other_net(20), "relu", none)).unwrap_err().to_string();
    assert!(message.contains("at least one"), "{message}");
}

#[test]
fn metamers_that_a_lower_ratio_finished_do_not_match_a_higher_one() {
    let mut different = plan(0).different(2, 0.2).unwrap();
    assert_eq!(different.until(2.0).unwrap(), StopReason::Matched);
    assert_eq!(different.until(60.0).unwrap(), StopReason::Steps);
    assert_eq!(different.until(2.0).unwrap(), StopReason::Matched);
}
