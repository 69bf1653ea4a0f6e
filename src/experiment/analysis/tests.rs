//! Tests of the analysis against other implementations and known results.

use super::permutation::test;
use super::{
    Analysis, Answer, Answers, Block, ConditionProportion, ExclusionRule, Participant, Published, RepeatedMeasures,
    SimulatedParticipants,
};
use crate::display::Show;

fn strong_effect() -> Vec<Vec<f64>> {
    [[0.90, 0.62, 0.11], [0.80, 0.71, 0.24], [1.00, 0.50, 0.05], [0.85, 0.45, 0.30]].map(Vec::from).into()
}

fn weak_effect() -> Vec<Vec<f64>> {
    let rows = [
        [0.50, 0.40, 0.55, 0.45],
        [0.30, 0.35, 0.25, 0.30],
        [0.60, 0.50, 0.70, 0.55],
        [0.45, 0.50, 0.40, 0.35],
        [0.20, 0.30, 0.45, 0.10],
    ];
    rows.map(Vec::from).into()
}

fn no_effect() -> Vec<Vec<f64>> {
    [[0.25, 0.7, 0.4], [0.6, 0.1, 0.5], [0.4, 0.35, 0.6], [0.5, 0.6, 0.2]].map(Vec::from).into()
}

fn answer(block: Block, stimulus: &str, condition: &str, given: Option<&str>) -> Answer {
    Answer {
        block,
        trial: 1,
        stimulus: stimulus.into(),
        condition: condition.into(),
        condition_index: None,
        correct_answer: "dog".into(),
        answer: given.map(String::from),
        response_ms: Some(700.0),
        shown_ms: Some(300.0),
        frame_ms: Some(16.7),
        longest_frame_ms: Some(16.8),
        interrupted: false,
    }
}

/// A participant with these numbers of correct answers: of 10 trials in each of `natural` and `stem`, and of 4 catch trials.
fn person(name: &str, natural: usize, stem: usize, catch: usize) -> Participant {
    let trials = |block, condition: &'static str, correct: usize, count: usize| {
        (0..count).map(move |k| {
            answer(block, &format!("{condition}{k}"), condition, Some(if k < correct { "dog" } else { "cat" }))
        })
    };
    let answers = trials(Block::Main, "natural", natural, 10)
        .chain(trials(Block::Main, "stem", stem, 10))
        .chain(trials(Block::Catch, "catch", catch, 4));
    Participant {
        session: format!("session of {name}"),
        participant: name.into(),
        task: "t".into(),
        kind: "image".into(),
        choices: 16,
        simulated: false,
        answers: answers.collect(),
    }
}

#[test]
fn f_equals_that_of_statsmodels() {
    // statsmodels 0.15.0, AnovaRM; printed by scripts/reference/stage_effect.py.
    for (scores, f, df) in [
        (strong_effect(), 31.936_814_621_409_9, (2, 6)),
        (weak_effect(), 1.740_181_268_882_18, (3, 12)),
        (no_effect(), 0.003_412_969_283_276_5, (2, 6)),
    ] {
        let found = RepeatedMeasures::from_scores(&scores).unwrap();
        assert!((found.f - f).abs() < 1e-12 * f.max(1.0), "{found:?} {f}");
        assert_eq!((found.df_conditions, found.df_error), df);
    }
}

#[test]
fn sampled_p_equals_that_of_all_permutations() {
    // scipy 1.17.1, permutation_test over all permutations within participants: 0.00462962962962963, 0.210569782021605, 1.
    for (scores, exact) in
        [(strong_effect(), 0.004_629_629_629_629_63), (weak_effect(), 0.210_569_782_021_605), (no_effect(), 1.0)]
    {
        for seed in 0..3 {
            let n = 10_000_f64;
            let (_, p) = test(&scores, 10_000, seed).unwrap();
            // Five standard deviations of the count, and the 1 that the estimator adds to it.
            let slack = 5.0 * (exact * (1.0 - exact) / n).sqrt() + 1.0 / n;
            assert!((p - exact).abs() <= slack, "seed {seed}: {p}, {exact} ± {slack}");
        }
        assert_eq!(test(&scores, 500, 9).unwrap().1.to_bits(), test(&scores, 500, 9).unwrap().1.to_bits());
    }
}

#[test]
fn p_is_calibrated_without_an_effect() {
    // Without an effect, p is at most 0.1 in a tenth of the simulations: 30 of 300, within four standard deviations.
    let small = (0..300).filter(|&seed| {
        let class =
            SimulatedParticipants::new([("a", 0.5), ("b", 0.5), ("c", 0.5)]).participants(8).stimuli(30).seed(seed);
        Analysis::new(class.answers().unwrap()).run().unwrap().stage_effect(199, seed).unwrap().p <= 0.1
    });
    let small = small.count();
    assert!((10..=51).contains(&small), "{small} of 300");
}

#[test]
fn scores_without_an_f_value_are_errors() {
    let error = |scores: &[Vec<f64>]| RepeatedMeasures::from_scores(scores).unwrap_err().to_string();
    assert!(error(&[]).contains("got 0 and 0"));
    assert!(error(&[vec![0.1, 0.2]]).contains("got 1 and 2"));
    assert!(error(&[vec![0.1], vec![0.2]]).contains("got 2 and 1"));
    assert!(error(&[vec![0.1, 0.2], vec![0.3]]).contains("got 2 and 1"));
    assert!(error(&[vec![0.1, f64::NAN], vec![0.3, 0.4]]).contains("not finite"));
    assert!(error(&[vec![0.5, 0.5], vec![0.3, 0.3]]).contains("no effect to test"));
    assert!(test(&strong_effect(), 0, 0).unwrap_err().to_string().contains("at least 1"));
    assert!(test(&strong_effect(), usize::MAX, 0).unwrap_err().to_string().contains("at most 10000000"));
    let agreed = RepeatedMeasures::from_scores(&[vec![0.0, 1.0], vec![0.0, 1.0]]).unwrap();
    assert_eq!(agreed.f, f64::INFINITY);
    assert!(
        test(&[vec![0.0, 1.0], vec![0.0, 1.0]], 1000, 0).unwrap().1 > 0.4,
        "half of the permutations give the same F"
    );
}

#[test]
fn mean_and_sem_equal_those_of_numpy() {
    let found = ConditionProportion::from_counts("stem", &[(8, 10), (3, 5), (1, 4), (0, 0)], 0).unwrap();
    // numpy 2.4.6: mean and std(ddof=1) / sqrt(3) of [.8, .6, .25].
    assert!((found.mean - 0.55).abs() < 1e-12);
    assert!((found.sem.unwrap() - 0.160_727_512_683_216_1).abs() < 1e-12, "{found:?}");
    assert_eq!((found.people, found.trials), (3, 19));
    let alone = ConditionProportion::from_counts("stem", &[(1, 2)], 0).unwrap();
    assert_eq!((alone.mean, alone.sem, alone.interval), (0.5, None, None));
    assert_eq!(ConditionProportion::from_counts("stem", &[(0, 0)], 0), None);
}

#[test]
fn the_bootstrap_interval_has_the_expected_width() {
    // Half of 100 participants are always correct, half never: the SEM is 0.05, and the interval about 0.5 ± 1.96 x 0.05.
    let halves: Vec<(usize, usize)> = (0..100).map(|k| (k % 2, 1)).collect();
    let (low, high) = ConditionProportion::from_counts("", &halves, 3).unwrap().interval.unwrap();
    assert!((low - 0.402).abs() < 0.011 && (high - 0.598).abs() < 0.011, "{low} {high}");
    assert_eq!(ConditionProportion::from_counts("", &halves, 3), ConditionProportion::from_counts("", &halves, 3));
    // With two participants, a resampled mean is 0, 0.5 or 1.
    assert_eq!(ConditionProportion::from_counts("", &[(0, 1), (1, 1)], 0).unwrap().interval, Some((0.0, 1.0)));
}

#[test]
fn participants_who_fail_catch_trials_are_excluded_and_listed() {
    let answers =
        Answers::from_people([person("ann", 9, 5, 4), person("bob", 1, 1, 2), person("eve", 7, 3, 3)]).unwrap();
    let found = Analysis::new(answers.clone()).run().unwrap();
    assert_eq!(found.participants(), 2);
    assert_eq!(found.excluded().iter().map(|out| out.person.as_str()).collect::<Vec<_>>(), ["bob"]);
    assert!((found.proportions()[0].mean - 0.8).abs() < 1e-12);
    let text = found.mime_bundles()[1].plain().to_owned();
    assert!(text.contains("bob (2 of 4 catch trials correct)") && text.contains("75 %"), "{text}");
    let everybody = Analysis::new(answers.clone()).exclude(ExclusionRule::nobody()).run().unwrap();
    assert_eq!((everybody.participants(), everybody.excluded().len()), (3, 0));
    let strict = Analysis::new(answers.clone()).exclude(ExclusionRule { min_catch_accuracy: 1.0 }).run().unwrap();
    assert_eq!(strict.participants(), 1);
    assert!(Analysis::new(answers).exclude(ExclusionRule { min_catch_accuracy: 75.0 }).run().is_err());
    let bad = Analysis::new(Answers::from_people([person("bob", 1, 1, 0)]).unwrap()).run().unwrap_err().to_string();
    assert!(bad.contains("only excluded participants"), "{bad}");
    assert!(Analysis::new(Answers::default()).run().unwrap_err().to_string().contains("no participants"));
}

#[test]
fn interrupted_and_unanswered_trials_are_invalid() {
    let mut ann = person("ann", 10, 5, 4);
    ann.answers[0].interrupted = true;
    ann.answers[1].answer = None;
    ann.answers[2].longest_frame_ms = Some(33.4);
    let found = Analysis::new(Answers::from_people([ann, person("bob", 10, 5, 4)]).unwrap()).run().unwrap();
    assert_eq!(found.proportions()[0].trials, 18);
    let text = found.mime_bundles()[1].plain().to_owned();
    assert!(text.contains("2 invalid trials") && text.contains("Trials with a dropped frame: 1"), "{text}");
}

#[test]
fn trials_without_a_shown_stimulus_are_invalid() {
    let mut ann = person("ann", 10, 5, 4);
    for (answer, shown_ms) in ann.answers.iter_mut().zip([Some(0.0), Some(-0.1), None, Some(8.0)]) {
        answer.shown_ms = shown_ms;
    }
    let valid: Vec<bool> = ann.answers.iter().take(4).map(Answer::is_valid).collect();
    assert_eq!(valid, [false, false, true, true]);
    let found = Analysis::new(Answers::from_people([ann, person("bob", 10, 5, 4)]).unwrap()).run().unwrap();
    assert_eq!(found.proportions()[0].trials, 18);
    let text = found.mime_bundles()[1].plain().to_owned();
    assert!(text.contains("2 invalid trials: interrupted, unanswered or not shown"), "{text}");
}

#[test]
fn two_sessions_of_one_participant_are_an_error() {
    let first = || Answers::from_people([person("ann", 9, 5, 4)]).unwrap();
    let again = || Participant { session: "second".into(), ..person("ann", 1, 1, 4) };
    let add = |person: Participant| first().merge(Answers::from_people([person])?);
    for result in [add(again()), Answers::from_people([person("ann", 9, 5, 4), again()])] {
        let message = result.unwrap_err().to_string();
        for part in ["session of ann", "second", "\"ann\"", "keep one of them", "different codes"] {
            assert!(message.contains(part), "{message}");
        }
    }
    // Allowed: the same session again, another task, and simulated participants, whose names repeat.
    assert_eq!(first().merge(first()).unwrap(), first());
    for other in [Participant { task: "u".into(), ..again() }, Participant { simulated: true, ..again() }] {
        assert_eq!(add(other).unwrap().participants().len(), 2);
    }
    let class = |seed| SimulatedParticipants::new([("a", 0.9), ("b", 0.2)]).participants(3).seed(seed).answers();
    assert_eq!(class(1).unwrap().merge(class(2).unwrap()).unwrap().participants().len(), 6);
    // Without codes, nothing tells that two sessions are of one person.
    let without_code = |name| Participant { participant: String::new(), ..person(name, 9, 5, 4) };
    assert_eq!(Answers::from_people(["x", "y"].map(without_code)).unwrap().participants().len(), 2);
    // The error of a folder names the file.
    let folder = tempfile::tempdir().unwrap();
    let json = JSON.replace("\"participant\":\"\"", "\"participant\":\"P07\"");
    std::fs::write(folder.path().join("a.json"), &json).unwrap();
    std::fs::write(folder.path().join("b.json"), json.replace("\"0f\"", "\"1f\"")).unwrap();
    let message = Answers::open_folder(folder.path()).unwrap_err().to_string();
    assert!(message.contains("b.json") && message.contains("sessions 0f and 1f"), "{message}");
    // It names all files with conflicts.
    std::fs::write(folder.path().join("c.json"), json.replace("\"0f\"", "\"2f\"")).unwrap();
    let message = Answers::open_folder(folder.path()).unwrap_err().to_string();
    for part in ["\nb.json: ", "sessions 0f and 1f", "\nc.json: ", "sessions 0f and 2f"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn answers_to_several_tasks_have_a_note() {
    let captions = |task: &str| {
        let bob = Participant { task: task.into(), ..person("bob", 8, 4, 4) };
        let answers = Answers::from_people([person("ann", 9, 5, 4), bob]).unwrap();
        let table = answers.mime_bundles()[0].plain().to_owned();
        [table, Analysis::new(answers).run().unwrap().mime_bundles()[1].plain().to_owned()]
    };
    for caption in captions("u") {
        assert!(caption.contains("Note: the answers belong to 2 different tasks (t, u)."), "{caption}");
    }
    for caption in captions("t") {
        assert!(!caption.contains("Note"), "{caption}");
    }
}

#[test]
fn a_participant_without_a_condition_is_excluded_from_the_test_only() {
    let mut ann = person("ann", 10, 5, 4);
    ann.answers.retain(|answer| answer.condition != "stem");
    let answers = Answers::from_people([ann, person("bob", 9, 5, 4), person("eve", 8, 3, 4)]).unwrap();
    let found = Analysis::new(answers).run().unwrap();
    let effect = found.effect_among(["natural", "stem"], 99, 0).unwrap();
    assert_eq!((effect.people, effect.incomplete), (2, 1));
    assert_eq!(found.proportions()[0].people, 3);
    assert!(found.effect_among(["natural", "stme"], 99, 0).unwrap_err().to_string().contains("did you mean stem?"));
    assert!(found.effect_among(["stem", "stem"], 99, 0).unwrap_err().to_string().contains("twice"));
    assert!(found.stage_effect(99, 0).is_err(), "a single stage has no effect to test");
}

#[test]
fn published_means_are_placed_by_stage_name_or_by_depth() {
    let all = [
        Published::alexnet(),
        Published::vgg19(),
        Published::resnet50(),
        Published::resnet101(),
        Published::cornet_s(),
        Published::cochcnn9(),
        Published::cochresnet50(),
    ];
    for published in &all {
        let names: std::collections::HashSet<_> = published.stages().iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), published.stages().len(), "{published:?}");
        assert!(published.stages()[0].1 > 0.7 && published.stages().last().unwrap().1 < 0.25, "{published:?}");
    }
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let (points, by_name) = Published::cornet_s().points_at(&names(&["natural", "V2", "final"]));
    assert!(by_name);
    assert_eq!(points, [(0.0, 0.895), (1.0, 0.877), (2.0, 0.055)]);
    let (points, by_name) = Published::cornet_s().points_at(&names(&["natural", "stem", "block5", "logits"]));
    assert!(!by_name);
    assert_eq!(points, [(0.0, 0.895), (1.0, 0.938), (1.5, 0.877), (2.0, 0.824), (2.5, 0.254), (3.0, 0.055)]);
    assert!(Published::cornet_s().points_at(&[]).0.is_empty());
}

#[test]
fn published_means_of_another_number_of_choices_are_marked() {
    let texts = |choices: usize| {
        let people = ["ann", "bob"].map(|name| Participant { choices, ..person(name, 9, 5, 4) });
        let analysis = Analysis::new(Answers::from_people(people).unwrap()).published(Published::alexnet());
        let bundles = analysis.run().unwrap().mime_bundles();
        [bundles[0].plain().to_owned(), bundles[1].plain().to_owned()]
    };
    let [plot, table] = texts(8);
    assert!(plot.contains("(Feather et al. 2023, by relative depth, 16 choices)"), "{plot}");
    assert!(plot.contains("chance, 1 of 8"), "{plot}");
    assert!(table.contains("another chance level: AlexNet has 16 choices, here there are 8."), "{table}");
    for text in texts(16) {
        assert!(!text.contains("16 choices") && !text.contains("Note"), "{text}");
    }
}

#[test]
fn simulated_participants_have_the_given_means_and_are_marked_as_simulated() {
    let class = SimulatedParticipants::like(&Published::alexnet()).participants(60).stimuli(180).inattentive(2).seed(4);
    let answers = class.answers().unwrap();
    assert_eq!(answers, class.answers().unwrap());
    assert_ne!(answers, class.clone().seed(5).answers().unwrap());
    let found = Analysis::new(answers.clone()).network("AlexNet", [("natural", 0.97)]).published(Published::alexnet());
    let found = found.run().unwrap();
    assert_eq!(found.excluded().len(), 2);
    let published: Vec<f64> =
        [0.895].into_iter().chain(Published::alexnet().stages().iter().map(|(_, mean)| *mean)).collect();
    for (proportion, asked) in found.proportions().iter().zip(published) {
        // Proportions are not below chance, and the spread over participants moves means slightly towards the middle.
        let expected = asked.max(1.0 / 16.0);
        assert!((proportion.mean - expected).abs() < 0.04, "{proportion:?}, asked for {asked}");
    }
    let effect = found.stage_effect(999, 0).unwrap();
    assert_eq!(effect.p, 0.001);
    for bundle in found.mime_bundles().into_iter().chain(answers.mime_bundles()).chain(effect.mime_bundles()) {
        assert!(bundle.plain().to_lowercase().contains("simulated"), "{}", bundle.plain());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("class.json");
    answers.save(&path).unwrap();
    assert_eq!(Answers::open(&path).unwrap(), answers, "a file keeps the mark");
}

#[test]
fn invalid_simulations_are_errors() {
    let class = || SimulatedParticipants::new([("natural", 0.9), ("stem", 0.8)]);
    for (class, reason) in [
        (class().participants(0), "at least one participant"),
        (class().stimuli(0), "at least one participant"),
        (class().inattentive(21), "21 of 20"),
        (class().participants(usize::MAX), "participants: must be at most 100000"),
        (class().stimuli(usize::MAX), "stimuli: must be at most 100000"),
        (class().catch_trials(usize::MAX), "catch_trials: must be at most 100000"),
        (class().participants(100_000).stimuli(100_000), "at most 5000000 trials"),
        (class().spread(f64::NAN), "NaN"),
        (SimulatedParticipants::new([("a", 1.2)]), "1.2"),
        (SimulatedParticipants::new([("a", 0.2), ("a", 0.3)]), "twice"),
        (SimulatedParticipants::new(Vec::<(String, f64)>::new()), "at least one participant"),
    ] {
        let message = class.answers().unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    }
}

const JSON: &str = r#"{"format":"metamers-answers","version":1,"simulated":false,"task":"abc","title":"T","kind":"image","choices":16,
 "conditions":["natural","stem"],"seed":"7","timing":{},"session":"0f","participant":"","answers":[
 {"block":"practice","trial":1,"stimulus":"p","condition":"practice","condition_index":null,"right":"dog","answer":"dog","correct":true},
 {"block":"main","trial":1,"stimulus":"b","condition":"stem","condition_index":1,"right":"dog","answer":"cat","correct":false,"response_ms":812.5,"shown_ms":300,"interrupted":false},
 {"block":"main","trial":2,"stimulus":"a","condition":"natural","condition_index":0,"right":"cat","answer":null,"correct":null,"interrupted":true}]}"#;
const CSV: &str = "\u{feff}session,participant,task,kind,choices,simulated,block,trial,stimulus,condition,condition_index,right,answer,correct,response_ms,onset_ms,offset_ms,shown_ms,frame_ms,longest_frame_ms,interrupted\r\n\
0f,,abc,image,16,false,practice,1,p,practice,,dog,dog,true,,,,,,,false\r\n\
0f,,abc,image,16,false,main,1,b,stem,1,dog,cat,false,812.5,1,301,300,,,false\r\n\
0f,,abc,image,16,false,main,2,a,natural,0,cat,,,,,,,,,true\r\n";

#[test]
fn json_and_csv_files_of_a_session_are_equal_and_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let (json, csv) = (folder.path().join("a.json"), folder.path().join("a.csv"));
    std::fs::write(&json, JSON).unwrap();
    std::fs::write(&csv, CSV).unwrap();
    let answers = Answers::open(&json).unwrap();
    assert_eq!(answers, Answers::open(&csv).unwrap());
    assert_eq!(answers, Answers::open_folder(folder.path()).unwrap());
    assert_eq!(answers.conditions(), ["natural", "stem"], "in the order of the task, not of the trials");
    assert_eq!((answers.participants()[0].name(), answers.participants()[0].answers.len()), ("0f", 3));
    // Excel writes TRUE and FALSE, editors of Windows begin a file with a byte-order mark, and macOS adds hidden files.
    std::fs::write(&csv, CSV.replace("true", "TRUE").replace("false", "FALSE")).unwrap();
    assert_eq!(answers, Answers::open(&csv).unwrap());
    std::fs::write(&json, format!("\u{feff}{JSON}")).unwrap();
    assert_eq!(answers, Answers::open(&json).unwrap());
    std::fs::write(folder.path().join("._a.json"), "attributes").unwrap();
    assert_eq!(answers, Answers::open_folder(folder.path()).unwrap());
    // A file saved halfway holds the first answers of the complete one.
    std::fs::write(&csv, CSV.lines().take(3).collect::<Vec<_>>().join("\n")).unwrap();
    assert_eq!(answers, Answers::open_folder(folder.path()).unwrap());
    std::fs::write(&csv, CSV.replace(",cat,false", ",dog,true")).unwrap();
    let message = Answers::open_folder(folder.path()).unwrap_err().to_string();
    assert!(message.contains("twice with different answers"), "{message}");
    std::fs::write(&csv, CSV.replace("0f,,", "1f,,").replace(",16,", ",12,")).unwrap();
    assert!(Answers::open_folder(folder.path()).unwrap_err().to_string().contains("analyse them separately"));
}

#[test]
fn texts_that_the_page_escapes_for_spreadsheets_are_restored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    std::fs::write(&path, CSV.replace(",1,b,stem,", ",1,'=1+1,'-stem,").replace("0f,,", "0f,'-x,")).unwrap();
    let answers = Answers::open(&path).unwrap();
    let person = &answers.participants()[0];
    let answer = &person.answers[1];
    assert_eq!((person.name(), &*answer.stimulus, &*answer.condition), ("-x", "=1+1", "-stem"));
}

#[test]
fn invalid_files_are_errors_that_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let error = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let message = Answers::open(&path).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
        message
    };
    assert!(error("a.json", "").contains("not valid JSON"));
    assert!(error("b.json", "{}").contains("metamers-answers"));
    assert!(error("b.json", "[1, 2]").contains("metamers-answers"));
    assert!(error("c.json", &JSON.replace("\"version\":1", "\"version\":2")).contains("\"version\": 1"));
    assert!(error("d.json", &JSON.replace("\"stimulus\":\"b\",", "")).contains("stimulus"));
    assert!(error("e.json", &JSON.replace("\"stimulus\":\"b\"", "\"stimulus\":\"a\"")).contains("\"a\" occurs twice"));
    assert!(error("f.json", &JSON.replace("\"choices\":16", "\"choices\":1")).contains("1 choices"));
    let damaged = error("g.csv", &CSV.replace("abc,image,16,false", "abc,image,16,no"));
    assert!(damaged.contains("line 2: invalid value: string \"no\", expected true or false"), "{damaged}");
    let damaged = error("g.csv", &CSV.replace("stem,1,", "stem,one,"));
    assert!(damaged.contains("line 3: field 10"), "{damaged}");
    assert!(error("h.csv", "session\n1\n").contains("not a valid CSV file"));
    assert!(error("i.txt", "").contains(".json or .csv"));
    assert!(Answers::open(folder.path().join("nowhere.json")).is_err());
    // A folder's error names all files that cannot be read, but at most ten.
    let folder_error = || Answers::open_folder(folder.path()).unwrap_err().to_string();
    std::fs::write(folder.path().join("good.json"), JSON).unwrap();
    let message = folder_error();
    for part in ["8 of 9 files", "\na.json: is not valid JSON", "\ng.csv: is not a valid CSV file of answers (line 3"] {
        assert!(message.contains(part), "{message}");
    }
    for name in ["k.json", "l.json", "m.json"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let message = folder_error();
    assert!(message.contains("11 of 12 files") && message.contains("l.json"), "{message}");
    assert!(!message.contains("m.json") && message.ends_with("\nand 1 more"), "{message}");
    let empty = tempfile::tempdir().unwrap();
    assert!(Answers::open_folder(empty.path()).unwrap_err().to_string().contains("no .json or .csv"));
    let mut bytes = JSON.as_bytes().to_vec();
    for cut in 0..bytes.len() {
        assert!(super::files::from_json(&bytes[..cut]).is_err());
    }
    for at in 0..bytes.len() {
        let before = std::mem::replace(&mut bytes[at], b'\xff');
        assert!(super::files::from_json(&bytes).is_err());
        bytes[at] = before;
    }
}
