//! Display of types in notebooks, files and terminals.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use metamers::candle::{DType, Device, Tensor, Var};
use metamers::display::live::start_listening;
use metamers::display::{
    Align, Bars, Figure, HeatMap, LinePlot, Live, MimeBundle, Palette, Panel, ProgressBar, Raster, Show, Table,
    duration, escape,
};
use serde_json::Value;

fn size_of(png: &[u8]) -> (u32, u32) {
    let image = image::load_from_memory_with_format(png, image::ImageFormat::Png).expect("a PNG");
    (image.width(), image.height())
}

fn photo() -> Raster {
    Raster::from_planar(6, 4, &(0..72).map(|index| index as f32 / 71.0).collect::<Vec<_>>())
}

fn loss() -> LinePlot {
    LinePlot::new("loss").x_label("step").y_label("loss").series("", vec![(0.0, 1.0), (1.0, 0.5), (2.0, 0.1)])
}

#[test]
fn a_figure_has_a_png_and_text_but_no_html() {
    let figure = Figure::new("A <photo> & its loss").row([Panel::picture("original", photo()), loss().into()]);
    let bundles = figure.mime_bundles();
    assert_eq!(bundles.len(), 1);
    let kinds: Vec<_> = bundles[0].data().keys().map(String::as_str).collect();
    assert_eq!(kinds, ["image/png", "text/plain"]);
    let about = &bundles[0].metadata()["image/png"];
    assert_eq!(about["alt"], "A <photo> & its loss");
    let (width, height) = size_of(&bundles[0].png_bytes().unwrap());
    assert_eq!(
        (width, height),
        (2 * about["width"].as_u64().unwrap() as u32, 2 * about["height"].as_u64().unwrap() as u32)
    );
    assert!(bundles[0].plain().contains("original: picture of 6 × 4 pixels"), "{}", bundles[0].plain());
}

#[test]
fn a_figure_is_at_most_900_pixels_wide() {
    let wide = Figure::new("").row([loss(), loss()]).mime_bundles();
    assert_eq!(wide[0].metadata()["image/png"]["width"], 900);
    let long =
        Figure::new("").title("word ".repeat(500)).row((0..30).map(|_| Panel::picture("long ".repeat(90), photo())));
    assert!(long.mime_bundles()[0].metadata()["image/png"]["width"].as_u64().unwrap() <= 900);
}

#[test]
fn png_encoding_and_enlargement_preserve_pixels() {
    let decoded = image::load_from_memory(&photo().png()).unwrap().to_rgb8();
    assert_eq!(decoded.as_raw(), photo().rgb());
    let large = photo().enlarged(3);
    assert_eq!((large.width(), large.height()), (18, 12));
    for (x, y) in [(0, 0), (17, 11), (7, 5)] {
        let (at, from) = (3 * (y * 18 + x), 3 * ((y / 3) * 6 + x / 3));
        assert_eq!(large.rgb()[at..at + 3], photo().rgb()[from..from + 3]);
    }
}

#[test]
fn out_of_range_values_are_clamped_and_nan_is_marked() {
    let raster = Raster::from_planar(3, 1, &[-1.0, 0.5, f32::NAN, 9.0, 0.5, 0.5, f32::INFINITY, 0.5, 0.5]);
    assert_eq!(raster.rgb(), [0, 255, 255, 128, 128, 128, 255, 0, 212]);
    assert_eq!(Raster::from_gray(1, 1, &[0.2]).rgb(), [51, 51, 51]);
}

#[test]
fn a_raster_of_the_wrong_size_is_drawn_as_a_note() {
    for wrong in [
        Raster::from_planar(4, 4, &[0.0; 7]),
        Raster::from_gray(usize::MAX, usize::MAX, &[]),
        Raster::from_gray(0, 5, &[]),
        Raster::from_rgb(2, 2, vec![1]),
    ] {
        let bundle = &wrong.mime_bundles()[0];
        assert!(bundle.plain().contains("need") || bundle.plain().contains("no pixels"), "{}", bundle.plain());
        let (width, height) = size_of(&wrong.png());
        assert!(width > 50 && height > 50, "the note must be legible");
    }
}

#[test]
fn a_small_image_is_enlarged_by_an_integer_factor() {
    let bundle = &Raster::from_gray(8, 4, &[0.5; 32]).mime_bundles()[0];
    assert_eq!(size_of(&bundle.png_bytes().unwrap()), (224, 112));
    let large = &Raster::from_gray(300, 2, &[0.5; 600]).mime_bundles()[0];
    assert_eq!(size_of(&large.png_bytes().unwrap()), (300, 2));
}

#[test]
fn plots_of_extreme_values_never_panic() {
    let extreme = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -0.0,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        1.0,
        -3.0,
    ];
    let pairs = || extreme.iter().flat_map(|x| extreme.iter().map(move |y| (*x, *y))).collect::<Vec<_>>();
    for points in [vec![], vec![(1.0, 2.0)], vec![(f64::NAN, 1.0)], vec![(1.0, 1e300), (2.0, -1e300)], pairs()] {
        let bars: Vec<_> = points.iter().map(|(x, y)| (*x, *y, y - x, *x)).collect();
        for width in [-5.0, 0.0, 160.0, f64::NAN, 1e9] {
            let plot = || {
                LinePlot::new("t\0itle\n\t漢字 ")
                    .x_label("")
                    .series("名前", points.clone())
                    .points("", points.clone())
                    .reference_line(f64::NAN, "")
            };
            let plots = [
                plot(),
                plot().log_x(),
                plot().log_y(),
                plot().log_x().log_y(),
                plot().y_range(3.0, f64::NAN),
                plot().x_range(2.0, -2.0),
                plot().dashed("", points.clone()).x_names(["a", ""]),
                plot().log_x().log_y().x_names(["a", "b", "c"]).error_bars("", bars.clone()),
                plot().y_range(0.0, 1.0).error_bars("", bars.clone()),
            ];
            let figure = plots.into_iter().fold(Figure::new("").width(width), |figure, plot| figure.row([plot]));
            size_of(&figure.png());
        }
    }
    for value in extreme {
        let value = value as f32;
        let map = HeatMap::new("", 2, 3, vec![value, 0.0, 1.0, value, f32::NAN, -1.0])
            .x_axis("x", f64::from(value), 1.0)
            .y_axis_log("y", 1.0, f64::from(value))
            .range(f64::from(value), f64::from(value));
        for map in [map.clone().robust(), map.clone().square().origin_lower(), map.palette(Palette::Diverging)] {
            size_of(&Figure::new("").row([map]).png());
        }
        size_of(
            &Bars::new("").bar("", f64::from(value)).bar("x".repeat(5000), 0.5).highlight(77).mime_bundles()[0]
                .png_bytes()
                .unwrap(),
        );
        size_of(&Figure::new("").row([Panel::text("", "a").width(f64::from(value)), Panel::text("b", "")]).png());
    }
    size_of(&HeatMap::new("", usize::MAX, 2, vec![]).mime_bundles()[0].png_bytes().unwrap());
    size_of(&Figure::new("").png());
    size_of(&Figure::new("").row(Vec::<Panel>::new()).png());
    size_of(&Figure::new("").row([HeatMap::new("empty", 1, 1, vec![f32::NAN])]).png());
}

/// Returns the bounding box of a color in a figure (left, top, right and bottom in CSS pixels) and the number of its pixels.
fn bounding_box(figure: &Figure, color: [u8; 3]) -> Option<([f64; 4], usize)> {
    let decoded = image::load_from_memory(&figure.png()).unwrap().to_rgb8();
    let hits = decoded.enumerate_pixels().filter(|(.., pixel)| pixel.0 == color);
    let hits: Vec<(f64, f64)> = hits.map(|(x, y, _)| (f64::from(x) / 2.0, f64::from(y) / 2.0)).collect();
    let first = hits.first()?;
    let ends = hits.iter().fold([first.0, first.1, first.0, first.1], |ends, (x, y)| {
        [ends[0].min(*x), ends[1].min(*y), ends[2].max(*x), ends[3].max(*y)]
    });
    Some((ends, hits.len()))
}

const BLUE: [u8; 3] = [0x00, 0x72, 0xb2];

#[test]
fn a_line_is_drawn_at_its_values() {
    let plot = |plot: LinePlot| Figure::new("").width(600.0).row([plot]);
    let flat = |y: f64| plot(LinePlot::new("").y_range(0.0, 1.0).series("", vec![(0.0, y), (9.0, y)]));
    let top = |figure: &Figure| bounding_box(figure, BLUE).expect("a blue line").0;
    let [low, high] = [0.25, 0.75].map(|y| top(&flat(y)));
    assert!(high[1] < low[1] - 50.0, "{high:?} must be above {low:?}");
    assert!(low[2] - low[0] > 500.0 && low[3] - low[1] < 2.0, "the line spans the width: {low:?}");
    let log = |y: f64| top(&plot(LinePlot::new("").log_y().y_range(0.01, 1.0).series("", vec![(0.0, y), (9.0, y)])));
    let middle = (log(0.999)[1] + log(0.0101)[1]) / 2.0;
    assert!((log(0.1)[1] - middle).abs() < 3.0, "a tenth is halfway from a hundredth to one");
}

#[test]
fn a_line_is_clipped_to_the_requested_range() {
    let spike = |range: bool| {
        let plot = LinePlot::new("").series("", vec![(0.0, 0.5), (1.0, 1e9), (2.0, 0.5), (3.0, -1e9), (4.0, 0.5)]);
        Figure::new("").width(600.0).row([if range { plot.y_range(0.0, 1.0) } else { plot }])
    };
    let frame = bounding_box(&spike(true), [0x9a; 3]).expect("axes").0;
    let ([left, top, right, bottom], _) = bounding_box(&spike(true), BLUE).expect("the part of the line within");
    assert!(top >= frame[1] - 2.0 && bottom <= frame[3] + 2.0, "{top} to {bottom} leaves {frame:?}");
    assert!(right - left > 300.0 && bottom - top > 200.0, "the line reaches the edges");
}

#[test]
fn an_error_bar_spans_its_bounds() {
    let figure = |bars| {
        let plot = LinePlot::new("").x_names(["natural", "stem"]).y_range(0.0, 1.0).error_bars("", bars);
        Figure::new("").width(500.0).row([plot])
    };
    let blue = [0x00, 0x72, 0xb2];
    let (flat, _) = bounding_box(&figure(vec![(0.0, 0.5, 0.5, 0.5), (1.0, 0.5, 0.5, 0.5)]), blue).unwrap();
    let (tall, _) = bounding_box(&figure(vec![(0.0, 0.5, 0.0, 0.75), (1.0, 0.5, 0.5, 0.5)]), blue).unwrap();
    let (cut, _) = bounding_box(&figure(vec![(0.0, 0.5, -3.0, 4.0), (1.0, 0.5, f64::NAN, 0.9)]), blue).unwrap();
    let middle = (flat[1] + flat[3]) / 2.0;
    let (up, down) = (middle - tall[1], tall[3] - middle);
    assert!((down / up - 2.0).abs() < 0.05, "half below and a quarter above: {down} {up}");
    assert!((cut[3] - tall[3]).abs() <= 1.0 && middle - cut[1] > 1.9 * up, "cut off at the axes: {cut:?} {tall:?}");
    // The left end is the cap of the first error bar, 3 CSS pixels left of the marker's center.
    assert!((tall[0] - flat[0]).abs() < 1.0, "{tall:?} {flat:?}");
}

#[test]
fn a_dashed_line_has_gaps_and_its_own_color() {
    let points = || vec![(0.0, 0.2), (1.0, 0.2)];
    let plot = |dashed| {
        let plot = LinePlot::new("").series("class", vec![(0.0, 0.8), (1.0, 0.8)]);
        let plot = if dashed { plot.dashed("network", points()) } else { plot.series("network", points()) };
        Figure::new("").width(500.0).row([plot])
    };
    let vermilion = [0xd5, 0x5e, 0x00];
    let ((_, whole), (_, dashed)) =
        (bounding_box(&plot(false), vermilion).unwrap(), bounding_box(&plot(true), vermilion).unwrap());
    let part = dashed as f64 / whole as f64;
    assert!((0.55..0.85).contains(&part), "6 of 8.5 pixels are drawn: {part}");
}

#[test]
fn x_names_appear_in_the_plain_text() {
    let plot = LinePlot::new("").x_names(["natural", "block2", "block10"]).x_label("condition");
    let plot = plot.error_bars("class", vec![(0.0, 0.93, 0.9, 0.96), (2.0, 0.2, f64::NAN, f64::NAN)]);
    let text = plot.mime_bundles()[0].plain().to_owned();
    assert!(text.contains("class: natural 0.93 (0.9 to 0.96), block10 0.2"), "{text}");
}

#[test]
fn a_zigzag_line_is_drawn_without_gaps_or_spikes() {
    let zigzag = |dashes: usize| {
        let points = (0..1200).map(|k| (f64::from(k), f64::from(k % 2))).collect::<Vec<_>>();
        let plot = (0..dashes).fold(LinePlot::new(""), |plot, _| plot.series("", vec![]));
        bounding_box(&Figure::new("").width(600.0).row([plot.series("", points)]), BLUE).expect("a line")
    };
    let ([left, top, right, bottom], pixels) = zigzag(0);
    let share = pixels as f64 / (4.0 * (right - left) * (bottom - top));
    assert!(share > 0.9, "lines so close fill the plot: {share}");
    let (ends, dashed) = zigzag(7);
    assert!(dashed > pixels / 3 && dashed < pixels, "{dashed} of {pixels}");
    assert!((ends[1] - top).abs() < 2.0 && (ends[3] - bottom).abs() < 2.0, "no spikes: {ends:?}");
}

#[test]
fn a_heat_map_draws_each_cell_in_its_color_and_position() {
    let values = vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
    let map = |map: HeatMap| Figure::new("").width(460.0).row([map.palette(Palette::Viridis).range(0.0, 1.0).square()]);
    let cell = |figure: &Figure, value: f64| bounding_box(figure, Palette::Viridis.color(value)).expect("the cell").0;
    let down = map(HeatMap::new("", 2, 3, values.clone()));
    for (index, value) in values.iter().enumerate().skip(1).take(4) {
        // A color of the palette; the color bar has one row of each.
        let step = (f64::from(*value) * 255.0).round() / 255.0;
        let (ends, pixels) = bounding_box(&down, Palette::Viridis.color(step)).expect("the cell");
        assert!(pixels > 10_000, "cell {index}: {pixels} pixels at {ends:?}");
    }
    let first = |figure: &Figure| cell(figure, (0.2_f64 * 255.0).round() / 255.0)[1];
    let upwards = map(HeatMap::new("", 2, 3, values).origin_lower());
    assert!(first(&upwards) > first(&down) + 50.0, "the first row is below");
}

#[test]
fn the_length_of_a_bar_is_proportional_to_its_value() {
    let width = |value: f64| {
        let figure = Figure::new("").width(460.0).row([Bars::new("").bar("name", value)]);
        bounding_box(&figure, BLUE).map_or(0.0, |(ends, _)| ends[2] - ends[0])
    };
    let whole = width(1.0);
    assert!(whole > 300.0, "{whole}");
    // The width of the number next to the bar varies.
    assert!((width(0.5) - whole / 2.0).abs() < 3.0, "{} of {whole}", width(0.5));
    assert!((width(7.0) - whole).abs() < 6.0, "{} of {whole}", width(7.0));
    assert_eq!(width(f64::NAN), 0.0);
}

#[test]
fn a_plot_of_a_million_points_has_the_usual_size() {
    let noise = |k: u32| f64::from(k.wrapping_mul(2_654_435_761) >> 8);
    let points = (0..1_000_000).map(|k| (f64::from(k), noise(k))).collect();
    let shuffled = (0..1_000_000).map(|k| (noise(k), noise(k + 7))).collect();
    let png = LinePlot::new("noise").series("", points).series("", shuffled).mime_bundles()[0].png_bytes().unwrap();
    assert_eq!(
        size_of(&png),
        size_of(&LinePlot::new("noise").series("", vec![(0.0, 1.0)]).mime_bundles()[0].png_bytes().unwrap())
    );
}

#[test]
fn a_very_long_figure_is_truncated() {
    let rows = |figure: Figure| (0..3000).fold(figure, |figure, _| figure.row([Panel::text("a", "b")]));
    let (_, height) = size_of(&rows(Figure::new("")).png());
    assert!((20_000..30_000).contains(&height), "{height}");
}

#[test]
fn a_table_escapes_html_and_completes_short_rows() {
    let table = Table::new(["stage", "share <%>"])
        .align([Align::Left, Align::Right])
        .caption("\"units\" & more")
        .row(["<script>alert('x')</script>", "7"])
        .row(["b"])
        .row(["c", "12", "extra"]);
    let bundle = &table.mime_bundles()[0];
    let html = &bundle.data()["text/html"];
    assert!(!html.contains("<script"), "{html}");
    assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"), "{html}");
    assert!(html.contains("<caption>&quot;units&quot; &amp; more</caption>"), "{html}");
    assert_eq!(html.matches("<td").count(), 9, "every row has every column");
    assert_eq!(
        Table::new(["name", "n"])
            .align([Align::Left, Align::Right])
            .row(["ä", "1"])
            .row(["long name", "23"])
            .mime_bundles()[0]
            .plain(),
        "name        n\n─────────  ──\nä           1\nlong name  23"
    );
    assert_eq!(Table::new(Vec::<String>::new()).mime_bundles()[0].plain(), "");
    assert_eq!(escape("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
}

#[test]
fn an_exported_page_is_self_contained() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.html");
    let figure = Figure::new("Panda \"<i>\" & metamer").row([Panel::picture("original", photo())]);
    figure.export(&path).unwrap();
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>"));
    let policy = page.split("Content-Security-Policy\" content=\"").nth(1).unwrap().split('"').next().unwrap();
    for directive in ["default-src 'none'", "base-uri 'none'", "form-action 'none'"] {
        assert!(policy.contains(directive), "{directive} is not in {policy}");
    }
    assert!(!policy.contains("script-src"), "scripts fall back to default-src");
    assert!(page.contains("width=device-width"));
    assert!(page.contains(r#"alt="Panda &quot;&lt;i&gt;&quot; &amp; metamer""#), "no alternative text");
    assert!(
        !page.contains("http://") && !page.contains("https://") && !page.contains("src=\"file"),
        "the page must not refer to other files"
    );
    let png = page.split("data:image/png;base64,").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(Some(png), figure.mime_bundles()[0].data().get("image/png").map(String::as_str));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file was left");
}

#[test]
fn exported_images_and_text_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one.PNG");
    photo().export(&one).unwrap();
    assert_eq!(size_of(&std::fs::read(&one).unwrap()), (6 * 37, 4 * 37));
    let both = folder.path().join("both.png");
    vec![
        MimeBundle::text("").png(photo().png(), 6, 4, ""),
        MimeBundle::text("no picture"),
        MimeBundle::text("").png(photo().enlarged(2).png(), 12, 8, ""),
    ]
    .export(&both)
    .unwrap();
    assert_eq!(size_of(&std::fs::read(&both).unwrap()), (12, 12));
    let text = folder.path().join("words.txt");
    MimeBundle::text("ρ 0.9").export(&text).unwrap();
    assert_eq!(std::fs::read_to_string(&text).unwrap(), "ρ 0.9\n");
}

#[test]
fn a_failed_export_names_the_file_and_keeps_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let message = |thing: MimeBundle, path: &Path| thing.export(path).unwrap_err().to_string();
    let path = folder.path().join("words.png");
    std::fs::write(&path, "before").unwrap();
    let error = message(MimeBundle::text("words"), &path);
    assert!(error.contains("words.png") && error.contains("no picture"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
    let broken = message(MimeBundle::text("").png([1, 2, 3], 1, 1, ""), &folder.path().join("no/such/folder.png"));
    assert!(broken.contains("folder.png"), "{broken}");
    for name in ["image.tiff", "no_extension"] {
        let error = message(MimeBundle::text("words"), &folder.path().join(name));
        assert!(error.contains(name) && error.contains(".html") && error.contains(".png"), "{error}");
        assert!(!folder.path().join(name).exists());
    }
}

#[test]
fn a_progress_bar_shows_counts_time_and_eta() {
    let bar = |done, total, elapsed, eta: Option<Duration>| {
        ProgressBar::new(done, total).unit("evaluations").elapsed(elapsed).eta(eta).to_string()
    };
    let line = bar(120, Some(800), Duration::from_secs(12), Some(Duration::from_secs(60)));
    assert_eq!(line, "120/800 evaluations  ███░░░░░░░░░░░░░░░░░░░░░  12 s, 1 min left");
    assert_eq!(bar(7, None, Duration::from_millis(1234), None), "7 evaluations  1.2 s");
    assert_eq!(bar(0, Some(0), Duration::ZERO, None), format!("0/0 evaluations  {}  0 s", "█".repeat(24)));
    assert!(bar(usize::MAX, Some(1), Duration::MAX, Some(Duration::MAX)).contains(&"█".repeat(24)));
    let paced = ProgressBar::new(1, Some(usize::MAX)).elapsed(Duration::MAX).eta_from_pace();
    assert!(!paced.to_string().contains("left"), "an ETA out of range is omitted");
    assert_eq!(duration(Duration::from_secs(59)), "59 s");
    assert_eq!(duration(Duration::from_secs_f64(59.7)), "1 min");
    assert_eq!(duration(Duration::from_secs(3 * 3600 + 300)), "3 h 5 min");
}

/// Runs in a child process of the tests below, which read its output.
#[test]
#[ignore = "run by other tests in a child process"]
fn child_displays_values() {
    print!("before ");
    println!("text");
    let live = Live::new();
    live.update(&MimeBundle::text("one\ntwo"));
    println!("between");
    live.update(&vec![MimeBundle::text("three"), MimeBundle::text("beside")]);
    live.update(&MimeBundle::text("four"));
    println!("shown: {}", live.shown());
    Table::new(["a"]).row(["1"]).evcxr_display();
    vec![MimeBundle::text("word").png([1, 2, 3], 4, 5, "alt <1>"), MimeBundle::text("EVCXR_END_CONTENT")].show();
    start_listening();
}

fn child(variables: &[(&str, &str)]) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "display::child_displays_values", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env_remove("METAMERS_LIVE").env_remove("EVCXR_IS_RUNTIME").envs(variables.iter().copied());
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let start = output.find("before text").expect("the child process prints");
    output[start..].lines().map(str::to_owned).take_while(|line| !line.is_empty() && !line.starts_with("ok")).collect()
}

#[test]
fn display_frames_are_ordered_with_printed_lines() {
    let lines = child(&[("METAMERS_LIVE", "n0nce"), ("EVCXR_IS_RUNTIME", "1")]);
    let frames: Vec<Option<Value>> = lines
        .iter()
        .map(|line| line.strip_prefix("n0nce ").map(|json| serde_json::from_str(json).expect("one line of JSON")))
        .collect();
    let op = |index: usize| frames[index].as_ref().map_or("", |frame| frame["op"].as_str().unwrap());
    assert_eq!(lines[0], "before text");
    assert_eq!(op(1), "display_data");
    assert_eq!(lines[2], "between");
    // An update to two bundles adds an output; the next update to one bundle empties it.
    assert_eq!(
        [op(3), op(4), op(5), op(6)],
        ["update_display_data", "display_data", "update_display_data", "update_display_data"]
    );
    assert_eq!(lines[7], "shown: true");
    let frame = |index: usize| frames[index].as_ref().unwrap();
    assert_eq!(frame(1)["data"]["text/plain"], "one\ntwo");
    assert_eq!(frame(1)["wait"], false);
    assert!(frame(1)["display_id"].is_string());
    assert_eq!(frame(1)["display_id"], frame(3)["display_id"]);
    assert_eq!(frame(1)["display_id"], frame(5)["display_id"]);
    assert_ne!(frame(1)["display_id"], frame(4)["display_id"]);
    assert_eq!(frame(4)["display_id"], frame(6)["display_id"]);
    assert_eq!(frame(6)["data"]["text/plain"], "");
    assert!(frame(8)["data"]["text/html"].as_str().unwrap().contains("<table>"));
    assert!(frame(8)["display_id"].is_null());
    assert_eq!(frame(9)["metadata"]["image/png"], serde_json::json!({ "width": 4, "height": 5, "alt": "alt <1>" }));
    assert_eq!(frame(9)["data"]["image/png"], "AQID");
    assert_eq!(*frame(11), serde_json::json!({ "op": "listening", "on": true }));
    assert_eq!(lines.len(), 12);
}

#[test]
fn the_stock_kernel_receives_one_block_per_mime_type() {
    let lines = child(&[("EVCXR_IS_RUNTIME", "1")]);
    let expected = r#"before text
between
shown: false
EVCXR_BEGIN_CONTENT text/html
<table>
<thead>
<tr><th align="left" style="text-align:left">a</th></tr>
</thead>
<tbody>
<tr><td align="left" style="text-align:left">1</td></tr>
</tbody>
</table>
EVCXR_END_CONTENT
EVCXR_BEGIN_CONTENT text/plain
a
─
1
EVCXR_END_CONTENT
EVCXR_BEGIN_CONTENT text/html
<div><img src="data:image/png;base64,AQID" width="4" alt="alt &lt;1&gt;" style="max-width:100%;height:auto"></div>
<div><pre>EVCXR_END_CONTENT</pre></div>
EVCXR_END_CONTENT
EVCXR_BEGIN_CONTENT text/plain
word
EVCXR_END_CONTENT 
EVCXR_END_CONTENT"#;
    assert_eq!(lines.join("\n"), expected);
}

#[test]
fn a_terminal_receives_plain_text() {
    assert_eq!(child(&[]).join("\n"), "before text\nbetween\nshown: false\na\n─\n1\nword\nEVCXR_END_CONTENT");
}

#[test]
fn a_tensor_shows_its_values_and_a_picture_of_its_shape() {
    let cpu = &Device::Cpu;
    let matrix = Tensor::new(&[[1.5f32, -2.0], [0.25, 3.0]], cpu).unwrap();
    let bundles = matrix.mime_bundles();
    assert_eq!(bundles.len(), 1, "a small matrix is no picture");
    for part in ["1.5000", "-2.0000", "[2, 2]", "f32"] {
        assert!(bundles[0].plain().contains(part), "{part} is missing in {}", bundles[0].plain());
    }
    let ramp = (Tensor::arange(0f32, 1200.0, cpu).unwrap() / 1200.0).unwrap();
    let ramp = |shape: &[usize]| ramp.narrow(0, 0, shape.iter().product()).unwrap().reshape(shape).unwrap();
    for (tensor, range) in [
        (ramp(&[3, 20, 20]), "black is 0, white is 1"),
        (ramp(&[1, 3, 16, 20]), "black is 0, white is 1"),
        (ramp(&[16, 40]), "black is 0, white is 1"),
        (
            ramp(&[16, 20]).affine(320.0, -100.0).unwrap().round().unwrap(),
            "values from −100 to −15; black is −100, white is −15",
        ),
        ((ramp(&[16, 20]) * 100.0).unwrap().to_dtype(DType::U8).unwrap(), "black is 0, white is 255"),
        (Tensor::full(0.5f32, (16, 16), cpu).unwrap(), "values from 0.5 to 0.5; black is 0, white is 1"),
    ] {
        let bundles = Var::from_tensor(&tensor).unwrap().mime_bundles();
        assert_eq!(bundles.len(), 2, "{tensor:?}");
        assert!(bundles[0].plain().contains("Tensor[["), "{}", bundles[0].plain());
        assert!(bundles[1].png_bytes().is_some() && bundles[1].plain().contains(range), "{}", bundles[1].plain());
    }
    let with_nan = Tensor::cat(&[&ramp(&[16, 20]), &Tensor::full(f32::NAN, (1, 20), cpu).unwrap()], 0).unwrap();
    assert!(with_nan.mime_bundles()[1].plain().contains("20 values are NaN"), "{}", with_nan.mime_bundles()[1].plain());
    for tensor in [
        Tensor::full(7f32, (16, 16), cpu).unwrap(),
        Tensor::full(f32::NAN, (16, 16), cpu).unwrap(),
        Tensor::zeros((15, 40), DType::F32, cpu).unwrap(),
        Tensor::zeros((0, 40), DType::F32, cpu).unwrap(),
        Tensor::zeros((2, 20, 20), DType::F32, cpu).unwrap(),
        Tensor::zeros((), DType::F32, cpu).unwrap(),
    ] {
        assert_eq!(tensor.mime_bundles().len(), 1, "{tensor:?}");
    }
}
