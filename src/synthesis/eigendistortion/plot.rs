//! Figures of eigendistortions.

use super::{Eigendistortion, Eigendistortions};
use crate::display::{Figure, HeatMap, LinePlot, MimeBundle, Palette, Panel, Show};
use crate::stimulus::Stimulus;

/// The root mean square of a displayed distortion, in units of pixel values.
const DISPLAYED_RMS: f64 = 0.03;

impl Eigendistortions {
    /// A plot of the spectrum: eigenvalues, relative to the largest, against the estimated number of directions with at least that one.
    pub fn spectrum(&self) -> LinePlot {
        self.spectrum_with(&[])
    }

    /// [`Eigendistortions::spectrum`] of several stages in one plot.
    pub fn spectrum_with(&self, others: &[&Self]) -> LinePlot {
        let all = std::iter::once(self).chain(others.iter().copied());
        let plot = LinePlot::new("how many directions a stage feels")
            .x_label("number of directions")
            .y_label("eigenvalue / largest")
            .log_x()
            .log_y();
        all.fold(plot, |plot, found| plot.series(found.label(), found.curve()))
    }

    fn label(&self) -> String {
        format!("{} ({:.0} directions)", self.stage, self.effective_directions())
    }

    fn curve(&self) -> Vec<(f64, f64)> {
        let largest = self.spectrum.first().map_or(1.0, |(value, _)| value.max(f64::MIN_POSITIVE));
        let mut directions = 0.0;
        let cumulative = self.spectrum.iter().map(|(value, weight)| {
            directions += weight * self.stimulus.values().len() as f64;
            (directions, value / largest)
        });
        // An extreme eigenvalue of tiny weight stands for one direction, and eigenvalues of 0 have no logarithm.
        cumulative.filter(|(_, value)| *value > 1e-9).map(|(directions, value)| (directions.max(1.0), value)).collect()
    }

    fn norm(&self) -> f64 {
        DISPLAYED_RMS * (self.stimulus.values().len() as f64).sqrt()
    }

    fn panels(&self, name: &str, distortion: &Eigendistortion) -> Vec<Panel> {
        let distorted = self.distorted(distortion, self.norm());
        let change = (distortion.eigenvalue.sqrt() * self.norm(), DISPLAYED_RMS);
        let caption = format!(
            "eigenvalue {:.3e}\nrms {} in pixels changes the stage by {:.3}",
            distortion.eigenvalue, change.1, change.0
        );
        let mut panels =
            vec![Panel::from(&distorted).with_title(format!("with the {name} felt change")).caption(caption)];
        if let Stimulus::Image(image) = &self.stimulus {
            let plane = image.width() * image.height();
            let sum = |i: usize| distortion.direction[i..].iter().step_by(plane).sum::<f32>();
            let values: Vec<f32> = (0..plane).map(sum).collect();
            let largest = values.iter().fold(f32::MIN_POSITIVE, |most, v| most.max(v.abs()));
            let values = values.iter().map(|v| v / largest).collect();
            let map = HeatMap::new(format!("{name} felt change"), image.height(), image.width(), values)
                .palette(Palette::Diverging)
                .square()
                .robust()
                .value_label("fraction of the largest value");
            panels.push(Panel::heat_map(map));
        }
        panels
    }
}

impl Show for Eigendistortions {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let (original, stage, network) = (self.stimulus.name(), &self.stage, &self.network);
        let title = format!("eigendistortions of {original} at stage {stage} of {network}");
        let [most, least] = [&self.most, &self.least].map(|list| list.first());
        let value = |distortion: Option<&Eigendistortion>| distortion.map_or(f64::NAN, |found| found.eigenvalue);
        let text = format!(
            "{title}\neigenvalues {:.3e} to {:.3e}; about {:.0} of {} directions are felt, by {} units",
            value(most),
            value(least),
            self.effective_directions(),
            self.stimulus.values().len(),
            self.units
        );
        let alt = format!("Changes of one size that the stage feels most and least, and the spectrum: {text}");
        let rows = [("most", most), ("least", least)];
        let panels = rows.into_iter().filter_map(|(name, found)| Some(self.panels(name, found?)));
        let figure = panels.fold(Figure::new(alt).title(title), |figure, panels| figure.row(panels));
        vec![figure.row([Panel::plot(self.spectrum())]).bundle(text)]
    }
}

crate::show_in_notebooks!(Eigendistortions);
