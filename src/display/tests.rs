//! Tests of the layout: positions of texts, ticks of axes.

use super::axis::Axis;
use super::canvas::{Canvas, Rect};
use super::format::{format_number, power_of_ten};
use super::polyline::{clip, decimate};
use super::text::Style;
use super::{Bars, Figure, HeatMap, LinePlot, Palette, Panel, Raster};

/// The part of a text's rectangle that glyphs cover: a line has padding above and below.
fn letters(place: &Rect) -> Rect {
    match place.width > place.height {
        true => Rect { y: place.y + 2.0, height: place.height - 4.0, ..*place },
        false => *place,
    }
}

/// Checks that all texts are on the canvas and that none overlap.
fn assert_no_overlap(canvas: &Canvas, what: &str) {
    let half = 0.5;
    for (index, (place, text)) in canvas.texts.iter().enumerate() {
        let inside = place.x >= -half && place.y >= -half && place.right() <= canvas.width() + half;
        assert!(
            inside && place.bottom() <= canvas.height() + half,
            "{what}: {text:?} is outside the canvas: {place:?}"
        );
        for (other, other_text) in &canvas.texts[index + 1..] {
            assert!(
                !letters(place).overlaps(&letters(other)),
                "{what}: {text:?} {place:?} overlaps {other_text:?} {other:?}"
            );
        }
    }
}

fn labels(axis: &Axis) -> Vec<&str> {
    axis.ticks.iter().map(|tick| tick.label.as_str()).collect()
}

#[test]
fn texts_do_not_overlap_at_any_width() {
    // Long labels along the horizontal axis, such as "−0.0025", would overlap first.
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
            assert_no_overlap(&canvas, &format!("width {width}, {names} names of {length}"));
        }
    }
}

#[test]
fn as_many_category_names_as_fit_are_shown() {
    let names = ["natural", "cochleagram", "relu0", "relu1", "relu2", "relu3", "relu4", "avgpool", "relufc", "final"];
    for (width, expected) in [(900.0, 10), (600.0, 5), (200.0, 1)] {
        let points = (0..10).map(|k| (f64::from(k), 0.5, 0.4, 0.6)).collect();
        let plot = LinePlot::new("")
            .x_names(names)
            .x_label("condition")
            .error_bars("class", points)
            .dashed("a network of a long name", vec![(0.0, 0.9), (9.0, 0.8)]);
        let canvas = Figure::new("").width(width).row([plot]).draw();
        assert_no_overlap(&canvas, &format!("width {width}"));
        let shown = canvas.texts.iter().filter(|(_, text)| names.contains(&text.as_str())).count();
        assert!(shown >= expected, "{shown} names at {width}");
    }
}

#[test]
fn long_texts_are_truncated_with_an_ellipsis_or_wrapped() {
    let style = Style::CAPTION;
    let short = style.ellipsize("a caption that is far too long", 60.0);
    assert!(short.ends_with('…') && short.starts_with("a cap") && style.width(&short) <= 60.0, "{short}");
    assert_eq!(style.ellipsize("fits", 60.0), "fits");
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
fn the_font_has_the_glyphs_of_figures() {
    use ab_glyph::Font;
    for style in [Style::BODY, Style::TITLE] {
        for letter in "aZ09äß×−⁻⁰¹²³⁴⁵⁶⁷⁸⁹ρµ∂…≤≈°·→□∞".chars() {
            assert_ne!(style.font().glyph_id(letter).0, 0, "{letter}");
        }
    }
}

#[test]
fn a_constant_series_is_in_the_middle_of_its_axis() {
    for value in [0.0, 0.25, -7.0, 1e-12, 1e-310, 3e8, f64::MAX] {
        let axis = Axis::from_values([value, value].into_iter(), false, 0.05).unwrap();
        assert!((axis.fraction(value.clamp(-1e300, 1e300)).unwrap() - 0.5).abs() < 1e-6, "{value}: {axis:?}");
        let axis = axis.with_ticks(5);
        assert!(axis.ticks.len() >= 2, "{value}: {axis:?}");
    }
    let log = Axis::from_values([1e-3].into_iter(), true, 0.05).unwrap();
    assert!((log.fraction(1e-3).unwrap() - 0.5).abs() < 1e-9);
}

#[test]
fn ticks_are_at_round_values_with_distinct_labels() {
    let ticked =
        |low: f64, high: f64, log: bool, most: usize| Axis::from_range(low, high, log).unwrap().with_ticks(most);
    assert_eq!(labels(&ticked(0.0, 800.0, false, 5)), ["0", "200", "400", "600", "800"]);
    let steps = Axis { integer: true, ..Axis::from_range(0.0, 3.0, false).unwrap() }.with_ticks(8);
    assert_eq!(labels(&steps), ["0", "1", "2", "3"], "ticks of counts are integers");
    assert_eq!(labels(&ticked(-0.5, 0.5, false, 3)), ["−0.5", "0.0", "0.5"]);
    let small = ticked(0.0, 4e-6, false, 4);
    assert_eq!((labels(&small), small.with_multiplier("")), (vec!["0", "1", "2", "3", "4"], "×10⁻⁶".into()));
    assert_eq!(labels(&ticked(1e-4, 1.0, true, 8)), ["10⁻⁴", "10⁻³", "10⁻²", "10⁻¹", "10⁰"]);
    assert_eq!(labels(&ticked(1e-12, 1.0, true, 4)), ["10⁻¹²", "10⁻⁹", "10⁻⁶", "10⁻³", "10⁰"]);
    assert_eq!(labels(&ticked(0.02, 0.9, true, 8)), ["0.02", "0.03", "0.05", "0.1", "0.2", "0.3", "0.5"]);
    for (low, high) in [(0.0, 1.0), (-3.7, 11.2), (1e-9, 2e-9), (1e5, 1.001e5), (-1e300, 1e300), (0.001, 0.0011)] {
        for log in [false, true] {
            for most in [2, 5, 9] {
                let Some(axis) = Axis::from_range(low, high, log) else { continue };
                let axis = axis.with_ticks(most);
                let mut names = labels(&axis);
                assert!((1..=most + 2).contains(&names.len()), "{low} {high}: {names:?}");
                let all = names.len();
                names.dedup();
                assert_eq!(names.len(), all, "{low} {high} {log}: {names:?}");
                assert!(
                    axis.ticks.iter().all(|tick| axis.visible_fraction(tick.value).is_some()),
                    "{low} {high} {log}: {axis:?}"
                );
            }
        }
    }
}

#[test]
fn ranges_near_zero_have_ticks() {
    for (low, high) in [(0.0, 1e-310), (-5e-324, 0.0), (1e-320, 1e-305), (0.0, 1e-300), (-2e-299, 1e-310)] {
        let axis = Axis::from_range(low, high, false).unwrap().with_ticks(5);
        assert!((2..=8).contains(&axis.ticks.len()), "{low} {high}: {axis:?}");
    }
    let plot = LinePlot::new("").series("", vec![(1.0, 1e-310), (2.0, 3e-310)]);
    let map = HeatMap::new("", 1, 2, vec![0.0, 1.0]).range(0.0, 1e-310).x_axis("", 0.0, 1e-310);
    assert!(!Figure::new("").row([plot]).row([map]).draw().texts.is_empty());
}

#[test]
fn many_category_names_are_thinned() {
    let custom_ticks = (0..10_000).map(|k| (f64::from(k), format!("name {k}"))).collect();
    let axis = Axis { custom_ticks, ..Axis::from_range(0.0, 1e4, false).unwrap() }.with_x_ticks(640.0);
    assert!((2..=80).contains(&axis.ticks.len()), "{} ticks", axis.ticks.len());
}

#[test]
fn invalid_values_have_no_axis_and_no_position() {
    assert!(Axis::from_values([f64::NAN, f64::INFINITY].into_iter(), false, 0.0).is_none());
    assert!(Axis::from_values([0.0, -1.0].into_iter(), true, 0.0).is_none());
    let log = Axis::from_values([1.0, 10.0].into_iter(), true, 0.0).unwrap();
    assert_eq!((log.fraction(0.0), log.fraction(-1.0), log.fraction(f64::NAN)), (None, None, None));
}

#[test]
fn value_is_the_inverse_of_fraction() {
    for axis in [Axis::from_range(-3.0, 5.0, false).unwrap(), Axis::from_range(1e-6, 20.0, true).unwrap()] {
        for place in [0.0, 0.3, 1.0] {
            assert!((axis.fraction(axis.value(place)).unwrap() - place).abs() < 1e-9, "{axis:?} {place}");
        }
    }
}

#[test]
fn lines_are_clipped_to_their_axes() {
    assert_eq!(clip(&[(-1.0, 0.5), (2.0, 0.5)]), [[(0.0, 0.5), (1.0, 0.5)]]);
    let peak = clip(&[(0.0, 0.0), (0.5, 2.0), (1.0, 0.0)]);
    assert_eq!(peak, [[(0.0, 0.0), (0.25, 1.0)], [(0.75, 1.0), (1.0, 0.0)]]);
    let inside = [(0.1, 0.2), (0.3, 0.4), (0.5, 0.1)];
    assert_eq!(clip(&inside), [inside]);
    let far = clip(&[(0.5, -f64::MAX), (0.5, f64::MAX), (0.2, -1e300)]);
    assert!(!far.is_empty() && far.iter().flatten().all(|(u, v)| (0.0..=1.0).contains(u) && (0.0..=1.0).contains(v)));
    assert!(clip(&[(-1.0, 0.5), (0.5, 3.0)]).is_empty() && clip(&[(2.0, 2.0)]).is_empty());
}

#[test]
fn decimation_keeps_the_peaks() {
    let noise = |k: i32| f64::from(k.wrapping_mul(1_103_515_245) >> 12);
    let run: Vec<(f64, f64)> = (0..100_000).map(|k| (f64::from(k) / 1e5, noise(k))).collect();
    let decimated = decimate(&run, 500.0);
    assert!(decimated.len() <= 2000, "{}", decimated.len());
    let peak = |run: &[(f64, f64)]| run.iter().map(|point| point.1).fold(f64::MIN, f64::max);
    assert_eq!(peak(&decimated), peak(&run));
    assert_eq!((decimated[0], decimated.last()), (run[0], run.last()));
}

#[test]
fn numbers_have_three_significant_digits() {
    let written = [0.0, 20.0, 0.02, -1.5, 1e-7, -3.2e-9, 1234567.0, 99.99, 0.001, 401_408.0].map(format_number);
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
