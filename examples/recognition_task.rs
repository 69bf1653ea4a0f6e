//! Writes two experiments as pages, `images.html` and `words.html`, and prints the conditions of some participants.
//!
//! The conditions are degraded photos and recordings (fewer pixels, more noise), which take little time to make. In a real experiment,
//! they are metamers of several stages (`metamer.image()?`).
//!
//! Run: `cargo run --example recognition_task -- OUTPUT_FOLDER`

use metamers::prelude::{analysis::*, *};

const SIDE: usize = 224;
const CONSENT: &str = "You take part in a demonstration of how well people recognise images and words.\n\n\
    It takes about five minutes. You may stop at any time, without a reason. Your answers stay on this device: you save them \
    yourself as a file, under a code that only you know, and may delete that file.";
const OBJECTS: [&str; 16] = [
    "bear", "bird", "bridge", "castle", "cat", "cow", "dog", "fish", "horse", "insect", "monkey", "pig", "pyramid",
    "rocket", "tool", "windmill",
];
const SHOWN: [(&str, &str); 12] = [
    ("giant_panda", "bear"),
    ("owl", "bird"),
    ("suspension_bridge", "bridge"),
    ("neuschwanstein_castle", "castle"),
    ("kitten", "cat"),
    ("cow", "cow"),
    ("dog", "dog"),
    ("goldfish", "fish"),
    ("horse", "horse"),
    ("butterfly", "insect"),
    ("macaque", "monkey"),
    ("hammer", "tool"),
];
const PRACTICE: [(&str, &str); 12] = [
    ("polar_bear", "bear"),
    ("toucan", "bird"),
    ("pont_du_gard", "bridge"),
    ("egeskov_castle", "castle"),
    ("tabby_cat", "cat"),
    ("calf", "cow"),
    ("clownfish", "fish"),
    ("honey_bee", "insect"),
    ("pig", "pig"),
    ("gorilla", "monkey"),
    ("pyramids", "pyramid"),
    ("chesterton_windmill", "windmill"),
];
const CATCH: [(&str, &str); 3] = [("screwdriver", "tool"), ("rocket", "rocket"), ("kinderdijk_windmills", "windmill")];
const WORDS: [&str; 30] = [
    "alpha", "april", "august", "bravo", "charlie", "december", "delta", "echo", "eight", "foxtrot", "friday",
    "goodbye", "hello", "hotel", "hundred", "india", "january", "juliet", "monday", "november", "october", "password",
    "quebec", "seven", "seventy", "sunday", "tomorrow", "uniform", "whiskey", "zero",
];

fn main() -> Result<()> {
    let folder = std::path::PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".into()));
    let images = images()?;
    images.show();
    images.save(folder.join("images.html"))?;
    let words = words()?;
    words.show();
    words.save(folder.join("words.html"))?;
    for participant in ["P07", "Zoë", "a-long_code-2"] {
        for (stimulus, condition) in images.assignment(participant) {
            println!("{participant} gets {stimulus} as {condition}");
        }
    }
    Ok(())
}

fn photo(name: &str) -> Result<Image> {
    Image::open(format!("photos/{name}.jpg"))?.resize_shorter_side(SIDE)?.center_crop(SIDE, SIDE)
}

fn images() -> Result<RecognitionTask> {
    let natural = |list: &[(&str, &str)]| -> Result<Vec<Item>> {
        list.iter().map(|(name, answer)| Ok(Item::natural(*name, *answer, photo(name)?))).collect()
    };
    let mut items = natural(&SHOWN)?;
    for (name, answer) in SHOWN {
        for pixels in [32, 16, 8] {
            let coarse = photo(name)?.resize(pixels, pixels)?.resize(SIDE, SIDE)?;
            items.push(Item::new(name, format!("{pixels} pixels"), answer, coarse));
        }
    }
    RecognitionTask::builder("What do you see?", Choices::new(OBJECTS)?)
        .items(items)
        .practice(natural(&PRACTICE)?, 7)
        .catch_trials(natural(&CATCH)?)
        .consent(CONSENT)
        .with_participant_code()
        .seed(7)
        .build()
}

fn words() -> Result<RecognitionTask> {
    let word = |name: &str| Sound::open(format!("speech/{name}.wav"))?.prepare(20_000, 40_000);
    let natural = |list: &[&str]| -> Result<Vec<Item>> {
        list.iter().map(|name| Ok(Item::natural(*name, *name, word(name)?))).collect()
    };
    let shown = ["seven", "foxtrot", "december", "hotel", "quebec", "tomorrow"];
    let mut items = natural(&shown)?;
    for (seed, name) in (0..).zip(shown) {
        let clean = word(name)?;
        for (condition, rms) in [("little noise", 0.1), ("much noise", 0.5)] {
            let noise = Sound::noise(clean.sample_rate(), clean.len(), Noise::Pink { rms: 0.1 }, seed)?;
            let mixed: Vec<f32> = clean.values().iter().zip(noise.values()).map(|(w, n)| w + n * rms / 0.1).collect();
            let peak = mixed.iter().fold(1f32, |peak, v| peak.max(v.abs()));
            let mixed = Sound::from_samples(name, clean.sample_rate(), mixed.iter().map(|v| v / peak).collect())?;
            items.push(Item::new(name, condition, name, mixed.set_rms(0.1)?));
        }
    }
    RecognitionTask::builder("Which word do you hear?", Choices::new(WORDS)?)
        .items(items)
        .practice(natural(&["hello", "monday", "bravo"])?, 2)
        .catch_trials(natural(&["goodbye", "zero"])?)
        .consent(CONSENT)
        .seed(7)
        .build()
}
