//! What a reproduction looks like.

use super::history::Point;
use super::plot::look;
use super::reproduce::Reproduction;
use crate::display::{Figure, HeatMap, LinePlot, MimeBundle, Palette, Panel, Player, Players, Show};
use crate::stimulus::Stimulus;
use crate::verdict::WELL_MATCHED_DB;

impl Reproduction {
    /// Where the pictures differ, in grey levels, the mean of the colours; `None` for sounds and for the same bits.
    fn map(&self) -> Option<HeatMap> {
        let (Stimulus::Image(saved), Stimulus::Image(again)) = (self.saved().stimulus(), self.again().stimulus())
        else {
            return None;
        };
        let plane = saved.width() * saved.height();
        let (a, b) = (saved.values(), again.values());
        let mean = |i: usize| (0..3).map(|c| b[c * plane + i] - a[c * plane + i]).sum::<f32>() * 255.0 / 3.0;
        let values: Vec<f32> = (0..plane).map(mean).collect();
        let largest = f64::from(values.iter().fold(0.0f32, |a, v| a.max(v.abs())));
        let map =
            HeatMap::new("difference", saved.height(), saved.width(), values).palette(Palette::Diverging).square();
        (largest > 0.0).then(|| map.range(-largest, largest).value_label("again − saved (1/255)"))
    }

    fn curves(&self) -> LinePlot {
        let line = |points: &[Point]| points.iter().map(|p| (p.evaluation as f64, p.snr_db)).collect();
        LinePlot::new("match at the stage")
            .x_label("gradient evaluations")
            .y_label("SNR (dB)")
            .series("saved", line(self.saved().history()))
            .dashed("again", line(self.again().history()))
            .reference_line(WELL_MATCHED_DB, format!("{WELL_MATCHED_DB:.0} dB: well matched"))
    }
}

impl Show for Reproduction {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let stamp = self.saved().provenance();
        let title = format!("{} at stage {} of {}, made again", stamp.original, stamp.stage, stamp.network);
        let (saved, again) = (self.saved().stimulus(), self.again().stimulus());
        let [saved_panel, again_panel] = look(saved, again, self.saved().ear.as_ref(), "again");
        let words = self.to_string();
        let result: Vec<&str> = words.lines().take(3).collect();
        let panels = [saved_panel.titled("saved").caption(stamp.made_by()), again_panel.caption(result.join("\n"))];
        let alt =
            format!("Saved metamer, the same made again, and both curves: {title}. {}.", words.replace('\n', "; "));
        let figure = Figure::new(alt).title(&title);
        let text = format!("{title}\n{words}");
        match (saved, again) {
            (Stimulus::Sound(saved), Stimulus::Sound(again)) => {
                let player = |name: &str, sound: &crate::stimulus::Sound| {
                    Player::new(name, sound.sample_rate(), sound.values().to_vec())
                };
                let players = Players::shared([player("saved", saved), player("again", again)]);
                vec![players.bundle(), figure.row(panels).row([Panel::plot(self.curves())]).bundle(text)]
            }
            _ => {
                let (panels, curves) = (panels.into_iter(), Panel::plot(self.curves()));
                let figure = match self.map() {
                    Some(map) => figure.row(panels.chain([Panel::heat(map)])).row([curves]),
                    None => figure.row(panels.chain([curves.width(1.4)])),
                };
                vec![figure.bundle(text)]
            }
        }
    }
}

crate::show_in_notebooks!(Reproduction);
