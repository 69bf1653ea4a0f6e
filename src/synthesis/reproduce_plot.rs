//! Figures of reproductions.

use super::history::Point;
use super::plot::stimulus_panels;
use super::provenance::Provenance;
use super::reproduce::Reproduction;
use crate::display::{Figure, HeatMap, LinePlot, MimeBundle, Palette, Panel, Players, Show};
use crate::similarity::WELL_MATCHED_DB;
use crate::stimulus::Stimulus;

impl Reproduction {
    /// A map of the differences in gray levels, averaged over the colors; `None` for sounds and without a difference.
    fn difference_map(&self) -> Option<HeatMap> {
        let (Stimulus::Image(saved), Stimulus::Image(again)) = (self.saved().stimulus(), self.reproduced().stimulus())
        else {
            return None;
        };
        let plane = saved.width() * saved.height();
        let (a, b) = (saved.values(), again.values());
        let channels = saved.channels();
        let sum = |i: usize| (0..channels).map(|c| b[c * plane + i] - a[c * plane + i]).sum::<f32>();
        let mean = |i: usize| sum(i) * 255.0 / channels as f32;
        let values: Vec<f32> = (0..plane).map(mean).collect();
        let largest = f64::from(values.iter().fold(0.0f32, |a, v| a.max(v.abs())));
        let map =
            HeatMap::new("difference", saved.height(), saved.width(), values).palette(Palette::Diverging).square();
        (largest > 0.0).then(|| map.range(-largest, largest).value_label("again − saved (1/255)"))
    }

    fn snr_plot(&self) -> LinePlot {
        let line = |points: &[Point]| points.iter().map(|p| (p.evaluation as f64, p.snr_db)).collect();
        LinePlot::new("match at the stage")
            .x_label("gradient evaluations")
            .y_label("SNR (dB)")
            .series("saved", line(self.saved().history()))
            .dashed("again", line(self.reproduced().history()))
            .reference_line(WELL_MATCHED_DB, format!("{WELL_MATCHED_DB:.0} dB: well matched"))
    }
}

impl Show for Reproduction {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let provenance = self.saved().provenance();
        let title = {
            let Provenance { original, stage, network, .. } = provenance;
            format!("{original} at stage {stage} of {network}, reproduced")
        };
        let (saved, again) = (self.saved().stimulus(), self.reproduced().stimulus());
        let [saved_panel, again_panel] = stimulus_panels(saved, again, self.saved().cochleagram.as_ref(), "again");
        let summary = self.to_string();
        let result: Vec<&str> = summary.lines().take(3).collect();
        let panels =
            [saved_panel.with_title("saved").caption(provenance.made_by()), again_panel.caption(result.join("\n"))];
        let alt =
            format!("Saved metamer, reproduced metamer, and both curves: {title}. {}.", summary.replace('\n', "; "));
        let figure = Figure::new(alt).title(&title);
        let text = format!("{title}\n{summary}");
        match (saved, again) {
            (Stimulus::Sound(saved), Stimulus::Sound(again)) => {
                let players = Players::shared([saved.player_named("saved"), again.player_named("again")]);
                vec![players.bundle(), figure.row(panels).row([Panel::plot(self.snr_plot())]).bundle(text)]
            }
            _ => {
                let (panels, curves) = (panels.into_iter(), Panel::plot(self.snr_plot()));
                let figure = match self.difference_map() {
                    Some(map) => figure.row(panels.chain([Panel::heat_map(map)])).row([curves]),
                    None => figure.row(panels.chain([curves.width(1.4)])),
                };
                vec![figure.bundle(text)]
            }
        }
    }
}

crate::show_in_notebooks!(Reproduction);
