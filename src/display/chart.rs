//! Shared parts of plots: axes with ticks and labels around a chart.

use plotters::chart::{ChartBuilder, ChartContext, LabelAreaPosition};
use plotters::coord::cartesian::Cartesian2d;
use plotters::element::BitMapElement;
use plotters::style::{Color, RGBColor, ShapeStyle};

use super::Raster;
use super::axis::Axis;
use super::canvas::{Area, DrawError, PLOT_DENSITY, Rect, to_plot_pixels};
use super::colors::{AXIS, GRID, LIGHT_GRID, Rgb};
use super::plotters_backend::PlottersCanvas;
use super::text::Style;

/// The gap between an axis and its tick labels, in CSS pixels.
pub(crate) const TICK_GAP: f32 = 5.0;

/// A chart with two axes.
pub(crate) type Chart<'a> = ChartContext<'a, PlottersCanvas<'a>, Cartesian2d<Axis, Axis>>;

/// The margins around the chart of a plot, for labels, in CSS pixels.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Margins {
    pub left: f32,
    pub right: f32,
    pub top: f32,
    pub bottom: f32,
}

impl Margins {
    /// Returns `place` without the margins.
    pub fn within(&self, place: Rect) -> Rect {
        let Self { left, right, top, bottom } = self;
        Rect::new(place.x + left, place.y + top, place.width - left - right, place.height - top - bottom)
    }

    /// Creates a chart with these margins and with tick labels below it and at one `side`.
    pub fn chart<'a>(
        &self,
        area: &Area<'a>,
        side: LabelAreaPosition,
        x: Axis,
        y: Axis,
    ) -> Result<Chart<'a>, DrawError> {
        let mut builder = ChartBuilder::on(area);
        builder
            .margin_top(to_plot_pixels(self.top))
            .set_label_area_size(LabelAreaPosition::Bottom, to_plot_pixels(self.bottom));
        match side {
            LabelAreaPosition::Right => {
                builder.margin_left(to_plot_pixels(self.left)).right_y_label_area_size(to_plot_pixels(self.right))
            }
            _ => builder.margin_right(to_plot_pixels(self.right)).y_label_area_size(to_plot_pixels(self.left)),
        };
        builder.build_cartesian_2d(x, y)
    }
}

/// Draws the axes of a chart and their labels, and grid lines if `grid` is set.
pub(crate) fn draw_axes(chart: &mut Chart, x_label: &str, y_label: &str, grid: bool) -> Result<(), DrawError> {
    let mut mesh = chart.configure_mesh();
    if !grid {
        mesh.disable_mesh();
    }
    // plotters places the labels two tick lengths away from the axis.
    mesh.set_all_tick_mark_size(to_plot_pixels(TICK_GAP / 2.0))
        .bold_line_style(stroke(GRID, 1.0))
        .light_line_style(stroke(LIGHT_GRID, 1.0))
        .axis_style(stroke(AXIS, 1.0))
        .label_style(Style::TICK.to_plotters())
        .axis_desc_style(Style::LABEL.to_plotters());
    if !x_label.is_empty() {
        mesh.x_desc(x_label);
    }
    if !y_label.is_empty() {
        mesh.y_desc(y_label);
    }
    mesh.draw()
}

/// Draws a picture over the whole chart.
pub(crate) fn draw_cells(chart: &mut Chart, cells: &Raster) -> Result<(), DrawError> {
    let area = chart.plotting_area().strip_coord_spec();
    let (width, height) = area.dim_in_pixel();
    // Cells finer than a CSS pixel are averaged: they cannot be seen and would make notebooks larger.
    let coarse = [width, height].map(|side| ((side as f32 / PLOT_DENSITY) as usize).max(1));
    let cells = match cells.width() > coarse[0] || cells.height() > coarse[1] {
        true => cells.sampled(cells.width().min(coarse[0]), cells.height().min(coarse[1])),
        false => cells.clone(),
    };
    let cells = cells.sampled(width as usize, height as usize);
    match BitMapElement::with_ref((0, 0), (width, height), cells.rgb()) {
        Some(picture) => area.draw(&picture),
        None => Ok(()),
    }
}

pub(crate) fn rgb(color: Rgb) -> RGBColor {
    RGBColor(color[0], color[1], color[2])
}

/// Returns a stroke style with a width in CSS pixels.
pub(crate) fn stroke(color: Rgb, width: f32) -> ShapeStyle {
    // plotters draws a stroke one pixel wider than its width.
    rgb(color).to_rgba().stroke_width((width * PLOT_DENSITY - 1.0).round() as u32)
}
