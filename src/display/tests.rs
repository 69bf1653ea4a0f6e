//! What can only be seen from inside: where the letters stand, and what the axes say.

use super::axis::{Scale, Tick, number, power_of_ten};
use super::canvas::Canvas;
use super::text::Style;
use super::{Bars, Figure, HeatMap, LinePlot, Palette, Panel, Raster};

/// Every text of the sheet lies on it, and none on another.
fn assert_tidy(canvas: &Canvas, what: &str) {
    let half = 0.5;
    for (index, (place, text)) in canvas.texts.iter().enumerate() {
        let inside = place.x >= -half && place.y >= -half && place.right() <= canvas.width() + half;
        assert!(inside && place.bottom() <= canvas.height() + half, "{what}: {text:?} leaves the sheet: {place:?}");
        for (other, other_text) in &canvas.texts[index + 1..] {
            // Lines of letters have air above and below: they may touch by a little.
            let mut letters = *place;
            letters.y += 2.0;
            letters.height -= 4.0;
            assert!(!letters.overlaps(other), "{what}: {text:?} {place:?} stands on {other_text:?} {other:?}");
        }
    }
}

fn labels(ticks: &[Tick]) -> Vec<&str> {
    ticks.iter().map(|tick| tick.label.as_str()).collect()
}

#[test]
fn no_text_stands_on_another_whatever_the_width() {
    // Along the horizontal axis labels of many letters, "−0.0025", whose crowding shows.
    let curve = |k: usize| {
        let point = |i: i32| (f64::from(i - 25) * 2e-4, 20.0 + f64::from(i % 7) * k as f64 * 0.01);
        (0..50).map(point).collect::<Vec<_>>()
    };
    let plot = |names: usize, length: usize| {
        let plot = LinePlot::new("A plot with a title of some length")
            .x_label("gradient evaluations")
            .y_label("signal to noise ratio (dB)");
        let plot = plot.reference_line(20.0, "20 dB: well matched").reference_line(20.1, "another line, close by");
        (0..names).fold(plot, |plot, k| plot.series(format!("{k}{}", "x".repeat(length)), curve(k)))
    };
    let map = HeatMap::new("map", 20, 40, (0..800).map(|k| k as f32 * 1e-7).collect())
        .palette(Palette::Diverging)
        .x_axis("time (s)", 0.0, 2.0)
        .y_axis_log("frequency (Hz)", 50.0, 10_000.0)
        .value_label("a label of the colour bar, with its unit");
    for width in [160.0, 240.0, 400.0, 640.0, 900.0, 1400.0] {
        for (names, length) in [(0, 0), (1, 4), (3, 10), (9, 3), (9, 60), (40, 8)] {
            let row: Vec<Panel> = vec![
                Panel::picture("original", Raster::from_gray(224, 224, &[0.5; 224 * 224]))
                    .caption("giant panda 0.93, and more words\nSNR"),
                plot(names, length).into(),
                map.clone().into(),
            ];
            let figure = Figure::new("").title("A heading ".repeat(8)).width(width).row(row);
            let figure = figure.row([plot(names, length).log_y()]).row([map.clone().square()]);
            let figure = figure.row([Bars::new("bars").bar("a".repeat(length + 1), 0.3).bar("b", 0.0001)]);
            let canvas = figure.draw();
            assert!(canvas.texts.len() > 5);
            assert_tidy(&canvas, &format!("width {width}, {names} names of {length}"));
        }
    }
}

#[test]
fn a_caption_that_does_not_fit_ends_in_an_ellipsis() {
    let style = Style::CAPTION;
    let short = style.ellipsise("a caption that is far too long", 60.0);
    assert!(short.ends_with('…') && short.starts_with("a cap") && style.width(&short) <= 60.0, "{short}");
    assert_eq!(style.ellipsise("fits", 60.0), "fits");
    let lines = style.wrap(&"words that go on and on ".repeat(40), 100.0, 3);
    assert_eq!(lines.len(), 3);
    assert!(lines[2].ends_with('…'), "{lines:?}");
    for line in style.wrap("Donaudampfschifffahrtsgesellschaft und 漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字", 80.0, 99)
    {
        assert!(style.width(&line) <= 80.0 && !line.is_empty(), "{line}");
    }
    assert_eq!(style.wrap("two\nlines", 500.0, 8), ["two", "lines"]);
    assert!(style.wrap("", 100.0, 8).is_empty());
}

#[test]
fn the_font_has_the_letters_that_figures_need() {
    use ab_glyph::Font;
    for style in [Style::BODY, Style::TITLE] {
        for letter in "aZ09äß×−⁻⁰¹²³⁴⁵⁶⁷⁸⁹ρµ∂…≤≈°·→□∞".chars() {
            assert_ne!(style.font().glyph_id(letter).0, 0, "{letter}");
        }
    }
}

#[test]
fn a_constant_series_stands_in_the_middle_of_its_axis() {
    for value in [0.0, 0.25, -7.0, 1e-12, 3e8, f64::MAX] {
        let scale = Scale::around([value, value].into_iter(), false, 0.05).unwrap();
        assert!((scale.place(value.clamp(-1e300, 1e300)).unwrap() - 0.5).abs() < 1e-6, "{value}: {scale:?}");
        assert!(scale.ticks(5).ticks.len() >= 2, "{value}: {:?}", scale.ticks(5));
    }
    let log = Scale::around([1e-3].into_iter(), true, 0.05).unwrap();
    assert!((log.place(1e-3).unwrap() - 0.5).abs() < 1e-9);
}

#[test]
fn ticks_are_round_and_their_labels_differ() {
    assert_eq!(labels(&Scale::between(0.0, 800.0, false).unwrap().ticks(5).ticks), ["0", "200", "400", "600", "800"]);
    let steps = Scale { whole: true, ..Scale::between(0.0, 3.0, false).unwrap() };
    assert_eq!(labels(&steps.ticks(8).ticks), ["0", "1", "2", "3"], "there is no half a step");
    assert_eq!(labels(&Scale::between(-0.5, 0.5, false).unwrap().ticks(3).ticks), ["−0.5", "0.0", "0.5"]);
    let small = Scale::between(0.0, 4e-6, false).unwrap().ticks(4);
    assert_eq!((labels(&small.ticks), small.exponent), (vec!["0", "1", "2", "3", "4"], -6));
    assert_eq!(
        labels(&Scale::between(1e-4, 1.0, true).unwrap().ticks(8).ticks),
        ["10⁻⁴", "10⁻³", "10⁻²", "10⁻¹", "10⁰"]
    );
    assert_eq!(labels(&Scale::between(1e-12, 1.0, true).unwrap().ticks(4).ticks), ["10⁻¹²", "10⁻⁸", "10⁻⁴", "10⁰"]);
    assert_eq!(
        labels(&Scale::between(0.02, 0.9, true).unwrap().ticks(8).ticks),
        ["0.02", "0.03", "0.05", "0.1", "0.2", "0.3", "0.5"]
    );
    for (low, high) in [(0.0, 1.0), (-3.7, 11.2), (1e-9, 2e-9), (1e5, 1.001e5), (-1e300, 1e300), (0.001, 0.0011)] {
        for log in [false, true] {
            for most in [2, 5, 9] {
                let Some(scale) = Scale::between(low, high, log) else { continue };
                let ticks = scale.ticks(most).ticks;
                let mut names = labels(&ticks);
                assert!(names.len() <= most + 2, "{low} {high}: {names:?}");
                let all = names.len();
                names.dedup();
                assert_eq!(names.len(), all, "{low} {high} {log}: {names:?}");
            }
        }
    }
}

#[test]
fn an_axis_shows_nothing_that_it_cannot() {
    assert!(Scale::around([f64::NAN, f64::INFINITY].into_iter(), false, 0.0).is_none());
    assert!(Scale::around([0.0, -1.0].into_iter(), true, 0.0).is_none());
    let log = Scale::around([1.0, 10.0].into_iter(), true, 0.0).unwrap();
    assert_eq!((log.place(0.0), log.place(-1.0), log.place(f64::NAN)), (None, None, None));
}

#[test]
fn numbers_are_written_as_one_writes_them() {
    let written = [0.0, 20.0, 0.02, -1.5, 1e-7, -3.2e-9, 1234567.0, 99.99, 0.001, 401_408.0].map(number);
    assert_eq!(written, ["0", "20", "0.02", "−1.5", "10⁻⁷", "−3.2 × 10⁻⁹", "1.23 × 10⁶", "100", "0.001", "401408"]);
    assert_eq!(power_of_ten(-12), "10⁻¹²");
}

#[test]
fn a_diverging_map_is_white_at_zero_and_symmetric() {
    let zero = Palette::Diverging.color(0.5);
    assert!(zero.iter().all(|value| *value > 235), "{zero:?}");
    let (low, high) = (Palette::Diverging.color(0.0), Palette::Diverging.color(1.0));
    assert!(low[2] > low[0] && high[0] > high[2], "blue below zero and red above: {low:?} {high:?}");
}
