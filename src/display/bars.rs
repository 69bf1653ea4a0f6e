//! Horizontal bar charts, such as class probabilities.

use plotters::chart::LabelAreaPosition::Left;
use plotters::element::Rectangle;
use plotters::style::{Color, TRANSPARENT};

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, PLOT_DENSITY, Rect, to_plot_pixels};
use super::chart::{Margins, rgb};
use super::colors::{self, EMPTY, MUTED, TEXT};
use super::format::format_number;
use super::text::Style;
use super::{Figure, MimeBundle, Show};

const ROW_HEIGHT: f32 = 22.0;
const GAP: f32 = 8.0;

/// A horizontal bar chart of named values in `[0, 1]`, the first on top.
///
/// ```
/// use metamers::display::{Bars, Show};
///
/// let bars = Bars::new("The network sees").bar("giant panda", 0.93).bar("indri", 0.02).highlight(0);
/// assert!(bars.mime_bundles()[0].plain().contains("giant panda  0.93"));
/// ```
#[derive(Clone, PartialEq, Default)]
#[must_use]
pub struct Bars {
    pub(crate) title: String,
    bars: Vec<(String, f64)>,
    highlight: Option<usize>,
}

impl std::fmt::Debug for Bars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bars({:?}, {} bars)", self.title, self.bars.len())
    }
}

impl Bars {
    /// Creates a chart without bars.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// Adds a bar with a value in `[0, 1]`. A value outside is written unchanged, but its bar is clamped; NaN has no bar.
    pub fn bar(mut self, name: impl Into<String>, value: f64) -> Self {
        self.bars.push((name.into(), value));
        self
    }

    /// Adds several bars.
    pub fn bars<T: Into<String>>(mut self, bars: impl IntoIterator<Item = (T, f64)>) -> Self {
        self.bars.extend(bars.into_iter().map(|(name, value)| (name.into(), value)));
        self
    }

    /// Highlights the bar with this index and draws the others in grey.
    pub fn highlight(mut self, index: usize) -> Self {
        self.highlight = Some(index);
        self
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let widest = self.bars.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        self.bars.iter().map(|(name, value)| format!("{name:widest$}  {}", label(*value))).collect()
    }

    pub(crate) fn alt(&self) -> String {
        let parts: Vec<_> = self.bars.iter().take(8).map(|(name, value)| format!("{name} {}", label(*value))).collect();
        let title = if self.title.is_empty() { "Bars" } else { &self.title };
        format!("{title}: {}", if parts.is_empty() { "no bars".into() } else { parts.join(", ") })
    }

    pub(crate) fn height(&self) -> f32 {
        (self.bars.len().max(1) as f32 * ROW_HEIGHT).min(1200.0)
    }

    pub(crate) fn draw(&self, canvas: &mut Canvas, place: Rect) -> Result<(), String> {
        let (name_style, value_style) = (Style::LABEL, Style::TICK.colored(TEXT));
        if self.bars.is_empty() {
            return Err("no bars".into());
        }
        let shown = self.bars.len().min((place.height / ROW_HEIGHT) as usize).max(1);
        let omitted = self.bars.len() - shown;
        let bars = &self.bars[..if omitted > 0 { shown - 1 } else { shown }];
        let values: Vec<String> = bars.iter().map(|(_, value)| label(*value)).collect();
        let value_width = values.iter().map(|value| value_style.width(value)).fold(0.0, f32::max);
        let max_name_width = (place.width * 0.5).min(place.width - value_width - 2.0 * GAP - 24.0).max(0.0);
        let names = Axis::rows(bars.iter().map(|(name, _)| name_style.ellipsize(name, max_name_width)));
        let name_width = names.ticks.iter().map(|tick| name_style.width(&tick.label)).fold(0.0, f32::max).ceil();
        let margins = Margins {
            left: name_width + GAP,
            right: (value_width + GAP).ceil(),
            top: 1.0 / PLOT_DENSITY,
            bottom: 1.0 / PLOT_DENSITY,
        };
        // plotters counts pixel rows from one above the first: a margin of one at both ends gives bars sharp edges.
        let rows = Rect { height: bars.len() as f32 * ROW_HEIGHT + 2.0 / PLOT_DENSITY, ..place };
        canvas.plot(rows, |sheet| {
            let mut chart = margins.chart(sheet, Left, Axis::unit(), names)?;
            let mut mesh = chart.configure_mesh();
            mesh.disable_mesh().axis_style(TRANSPARENT).set_all_tick_mark_size(to_plot_pixels(GAP / 2.0));
            mesh.y_label_style(name_style.to_plotters()).draw()?;
            chart.draw_series(bars.iter().enumerate().flat_map(|(index, (_, value))| {
                let part = if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
                let color = match self.highlight {
                    Some(highlight) if highlight != index => [0xb4; 3],
                    _ => colors::series(0),
                };
                let (top, bottom) = (index as f64 + 4.0 / 22.0, index as f64 + 18.0 / 22.0);
                [(1.0, EMPTY), (part, color)]
                    .map(|(end, color)| Rectangle::new([(0.0, top), (end, bottom)], rgb(color).filled()))
            }))?;
            Ok(())
        })?;
        for (index, value) in values.iter().enumerate() {
            let top = place.y + index as f32 * ROW_HEIGHT + (ROW_HEIGHT - value_style.line()) / 2.0;
            canvas.text(place.right(), top, Anchor::Right, value, value_style);
        }
        if omitted > 0 {
            let text = format!("and {} more", omitted + 1);
            canvas.text(place.x + margins.left, rows.bottom(), Anchor::Left, &text, Style::TICK.colored(MUTED));
        }
        Ok(())
    }
}

/// Formats a value with two decimals; a small probability is `<0.01`, never `0.00`.
fn label(value: f64) -> String {
    if value.is_nan() {
        "not a number".into()
    } else if value > 0.0 && value < 0.005 {
        "<0.01".into()
    } else if (0.995..1.0).contains(&value) {
        ">0.99".into()
    } else if value.abs() < 1e4 {
        format!("{:.2}", if value == 0.0 { 0.0 } else { value }).replace('-', "−")
    } else {
        format_number(value)
    }
}

impl Show for Bars {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let title = if self.title.is_empty() { None } else { Some(self.title.clone()) };
        let text: Vec<String> = title.into_iter().chain(self.lines()).collect();
        vec![Figure::new(self.alt()).width(460.0).row([self.clone()]).bundle(text.join("\n"))]
    }
}

crate::show_in_notebooks!(Bars);
