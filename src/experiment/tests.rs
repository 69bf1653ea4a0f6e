//! Tests of recognition tasks.

use std::collections::HashMap;

use super::assignment::{Generator, assign};
use super::{Choices, Item, RecognitionTask, TaskBuilder, Timing};
use crate::display::Show;
use crate::stimulus::{Image, Noise, Sound};

fn picture(seed: u64) -> Image {
    Image::noise(8, 6, Noise::Uniform { low: 0.0, high: 1.0 }, seed).unwrap()
}

/// A task of `stimuli` stimuli, each with versions under `natural`, `stem` and `logits`.
fn builder(stimuli: usize) -> TaskBuilder {
    let version = |k: usize, condition: &str| Item::new(format!("s{k}"), condition, "dog", picture(k as u64));
    let items = (0..stimuli).flat_map(|k| ["natural", "stem", "logits"].map(|condition| version(k, condition)));
    RecognitionTask::builder("A task", Choices::entry_level()).items(items)
}

fn error(builder: TaskBuilder) -> String {
    builder.build().expect_err("an invalid task").to_string()
}

fn loads(chosen: &[usize], conditions: usize) -> Vec<usize> {
    (0..conditions).map(|condition| chosen.iter().filter(|each| **each == condition).count()).collect()
}

#[test]
fn conditions_are_balanced_within_and_across_participants() {
    let task = builder(20).build().unwrap();
    let mut over_people: HashMap<(String, String), usize> = HashMap::new();
    let people = 3000;
    for person in 0..people {
        let assigned = task.assignment(&format!("P{person}"));
        let ids: Vec<&String> = assigned.iter().map(|(id, _)| id).collect();
        assert_eq!(ids, (0..20).map(|k| format!("s{k}")).collect::<Vec<_>>().iter().collect::<Vec<_>>());
        let mut loads: HashMap<&str, usize> = HashMap::new();
        assigned.iter().for_each(|(_, condition)| *loads.entry(condition).or_default() += 1);
        assert!(loads.len() == 3 && loads.values().all(|load| (6..=7).contains(load)), "{loads:?}");
        assigned.into_iter().for_each(|pair| *over_people.entry(pair).or_default() += 1);
    }
    // Each pair occurs for a third of the participants, within five standard deviations of a fair draw.
    let (mean, deviation) = (people as f64 / 3.0, (people as f64 * 2.0 / 9.0).sqrt());
    assert_eq!(over_people.len(), 60);
    for (pair, count) in over_people {
        assert!((count as f64 - mean).abs() < 5.0 * deviation, "{pair:?}: {count} of {people}");
    }
    assert_eq!(task.assignment("P1"), task.assignment("P1"));
    assert_ne!(task.assignment("P1"), task.assignment("P2"));
    assert_ne!(task.assignment("P1"), builder(20).seed(1).build().unwrap().assignment("P1"));
}

#[test]
fn conditions_are_balanced_despite_missing_versions() {
    let mut random = Generator::new("missing versions");
    // Eight stimuli have all four conditions and four have one or two; three stimuli per condition are still possible.
    let mut available = vec![vec![0, 1, 2, 3]; 8];
    available.extend([vec![0], vec![0, 1], vec![0, 1], vec![0]]);
    for _ in 0..200 {
        let chosen = assign(&mut random, &available, 4);
        assert!(chosen.iter().zip(&available).all(|(chosen, available)| available.contains(chosen)));
        assert_eq!(loads(&chosen, 4), [3, 3, 3, 3]);
    }
    // Only a chain of moves balances these: from 0 to 1 and from 1 to 2.
    let chain = vec![vec![0], vec![0, 1], vec![0, 1], vec![1, 2], vec![1, 2], vec![0, 1]];
    for _ in 0..200 {
        assert_eq!(loads(&assign(&mut random, &chain, 3), 3), [2, 2, 2]);
    }
}

/// The numbers of participants of `people` who get each stimulus under each condition.
fn counts(available: &[Vec<usize>], conditions: usize, people: usize) -> Vec<Vec<usize>> {
    let mut counts = vec![vec![0; conditions]; available.len()];
    for person in 0..people {
        let chosen = assign(&mut Generator::new(&format!("0:P{person}:conditions")), available, conditions);
        for (stimulus, condition) in chosen.into_iter().enumerate() {
            counts[stimulus][condition] += 1;
        }
    }
    counts
}

#[test]
fn missing_versions_do_not_make_conditions_depend_on_positions() {
    let people = 4000;
    // Within five standard deviations of a fair draw.
    let check = |count: usize, p: f64, stimulus: usize| {
        let (mean, deviation) = (people as f64 * p, (people as f64 * p * (1.0 - p)).sqrt());
        assert!((count as f64 - mean).abs() < 5.0 * deviation, "stimulus {stimulus}: {count} of {people}, {p} is fair");
    };
    // One of the first four stimuli has condition 0, and three have condition 1.
    let mut available = vec![vec![0, 1]; 4];
    available.extend([vec![0], vec![0]]);
    for (stimulus, counts) in counts(&available, 2, people).iter().enumerate().take(4) {
        check(counts[0], 0.25, stimulus);
    }
    // The first three stimuli have condition 1 or 2, which are alike.
    let mut available = vec![vec![0, 1, 2]; 3];
    available.extend([vec![0], vec![0], vec![0]]);
    for (stimulus, counts) in counts(&available, 3, people).iter().enumerate().take(3) {
        check(counts[1], 0.5, stimulus);
        assert_eq!(counts[0], 0);
    }
}

/// An assignment in `tests/experiment/assignments.json`, from the page's program.
#[derive(serde::Deserialize)]
struct Assignment {
    text: String,
    conditions: usize,
    available: Vec<Vec<usize>>,
    chosen: Vec<usize>,
}

#[test]
fn assignments_equal_those_of_the_page() {
    // tests/experiment/test_page.py compares the page with the same file.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/experiment/assignments.json");
    let cases: Vec<Assignment> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(cases.len() > 10);
    for Assignment { text, conditions, available, chosen } in cases {
        assert_eq!(assign(&mut Generator::new(&text), &available, conditions), chosen, "{text}, {available:?}");
    }
}

#[test]
fn excluded_items_are_not_shown_and_are_listed() {
    let failed = Item::new("s0", "block5", "dog", picture(90)).excluded();
    let task = builder(3).items([failed, Item::new("s1", "block5", "dog", picture(91))]).build().unwrap();
    assert_eq!(task.versions(), [3, 3, 3, 1]);
    let shown = |person: usize| task.assignment(&person.to_string());
    assert!((0..200).flat_map(shown).all(|(id, condition)| condition != "block5" || id == "s1"));
    assert!(!task.page().contains(&super::page::data_url(&picture(90).into())));
    let text = task.mime_bundles()[0].plain().to_owned();
    assert!(text.contains("excluded items: 1") && text.contains("\"block5\" has 1 of 3 stimuli"), "{text}");
}

#[test]
fn texts_are_escaped() {
    let evil = "</script><script>alert(1)</script><!-- \" ' & {{task}} {{style}}";
    let choices = Choices::new(["dog", evil]).unwrap();
    let task = RecognitionTask::builder(evil, choices)
        .item(evil, evil, evil, picture(1))
        .consent(evil)
        .instructions(evil)
        .build()
        .unwrap();
    let page = task.page();
    assert!(!page.contains("alert(1)</script>") && !page.contains("<!-- \""));
    assert_eq!(page.matches("</script>").count(), 2, "one for the data and one for the program");
    let data = page.split("id=\"task\">").nth(1).unwrap().split("</script>").next().unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    for text in
        [&data["title"], &data["consent"], &data["instructions"], &data["choices"][1], &data["stimuli"][0]["id"]]
    {
        assert_eq!(text, evil);
    }
    let bundles = task.mime_bundles();
    let html = &bundles[0].data()["text/html"];
    assert!(!html.contains("<script") && html.matches("<iframe srcdoc=\"&lt;!DOCTYPE html&gt;").count() == 1);
}

#[test]
fn the_page_loads_and_sends_no_data() {
    use sha2::Digest;
    let page = builder(2).build().unwrap().page().to_owned();
    for directive in ["default-src 'none'", "base-uri 'none'", "form-action 'none'"] {
        assert!(page.contains(directive), "{directive}");
    }
    let script = page.split("<script>").nth(1).unwrap().split("</script>").next().unwrap();
    assert!(script.is_ascii(), "in a page of another encoding, the script would have another SHA-256");
    let hash = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, sha2::Sha256::digest(script));
    assert!(page.contains(&format!("script-src 'sha256-{hash}';")), "no other script may run");
    for word in ["http://", "https://", "fetch(", "XMLHttpRequest", "sendBeacon", "WebSocket", "import(", "eval("] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn invalid_tasks_are_errors_with_a_reason() {
    let choices = Choices::entry_level;
    assert!(error(RecognitionTask::builder("", choices())).contains("no items"));
    let failed = Item::new("a", "stem", "dog", picture(0)).excluded();
    assert!(error(RecognitionTask::builder("", choices()).items([failed])).contains("none is included"));
    assert!(
        error(builder(2).item("s1", "stem", "dog", picture(5)))
            .contains("\"s1\" occurs twice under condition \"stem\"")
    );
    assert!(
        error(builder(2).item("s1", "block5", "cat", picture(5))).contains("two correct answers, \"dog\" and \"cat\"")
    );
    let unknown = error(builder(2).item("x", "stem", "dgo", picture(5)));
    assert!(unknown.contains("no choice named \"dgo\"; did you mean dog"), "{unknown}");
    assert!(error(builder(2).item(" ", "stem", "dog", picture(5))).contains("id"));
    assert!(error(builder(2).item("x", "", "dog", picture(5))).contains("condition"));
    assert!(
        error(builder(2).catch_trials([Item::natural("s1", "dog", picture(5))]))
            .contains("shown twice to a participant")
    );
    let twice = || [Item::natural("p", "dog", picture(5)), Item::natural("p", "dog", picture(5))];
    assert!(error(builder(2).practice(twice(), 1)).contains("\"p\" would be shown twice"));
    assert!(error(builder(2).practice([Item::natural("p", "dog", picture(5))], 2)).contains("2 of 1"));
    assert!(
        error(builder(2).item("x", "stem", "dog", Sound::tone(8000, 0.1, 440.0, 0.1).unwrap()))
            .contains("has the kind sound")
    );
    assert!(error(builder(2).conditions(["natural", "stem"])).contains("no condition named \"logits\""));
    assert!(error(builder(2).conditions(["natural", "stem", "logits", "stem"])).contains("\"stem\" occurs twice"));
    assert!(error(builder(2).timing(Timing { stimulus_ms: 0, ..Timing::default() })).contains("1 to 10000 ms"));
    assert!(error(builder(2).timing(Timing { mask_ms: 60_000, ..Timing::default() })).contains("60000"));
    for (words, reason) in
        [(vec![], "got 0"), (vec!["one"], "got 1"), (vec!["a", " "], "index 1"), (vec!["a", "A "], "twice")]
    {
        assert!(Choices::new(words).unwrap_err().to_string().contains(reason));
    }
}

#[test]
fn a_page_above_100_mb_is_an_error_and_a_large_page_gives_a_warning() {
    let noise =
        |seed: u64, side: usize| Image::noise(side, side, Noise::Uniform { low: 0.0, high: 1.0 }, seed).unwrap();
    let one =
        |side| RecognitionTask::builder("", Choices::entry_level()).item("a", "natural", "dog", noise(1, side)).build();
    assert!(one(64).unwrap().warnings().is_empty());
    let large = one(1200).unwrap();
    assert!(large.warnings()[0].contains("save(\"task.html\")"), "{:?}", large.warnings());
    let sounds = (0..3).map(|k: u8| {
        let minutes = Sound::from_samples("", 96_000, vec![0.1; 96_000 * 140]).unwrap();
        Item::new(k.to_string(), "natural", "dog", minutes)
    });
    assert!(error(RecognitionTask::builder("", Choices::entry_level()).items(sounds)).contains("100 MB"));
}

#[test]
fn save_writes_the_page_and_other_extensions_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let task = builder(2).build().unwrap();
    let path = folder.path().join("task.html");
    task.save(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), task.page());
    assert!(task.save(folder.path().join("task.png")).unwrap_err().to_string().contains(".html"));
    assert!(task.mime_bundles()[0].plain().contains("save(\"task.html\")"));
}

#[test]
fn equal_tasks_have_equal_pages() {
    let (one, other) = (builder(3).build().unwrap(), builder(3).build().unwrap());
    assert_eq!(one, other);
    assert_ne!(one.fingerprint(), builder(4).build().unwrap().fingerprint());
    assert_eq!(
        builder(3).conditions(["logits", "natural", "stem"]).build().unwrap().conditions(),
        ["logits", "natural", "stem"]
    );
}
