//! What an inspection looks like.

use super::gradient::percent;
use super::{InspectedStage, Inspection};
use crate::display::{Align, Bundle, Figure, LinePlot, Panel, Show, Table};
use crate::network::{Input, thousands};
use crate::stimulus::Stimulus;

impl Inspection {
    /// The check list but for the stages: input, preprocessing, weights, classes, gradients, warnings.
    pub fn table(&self) -> Table {
        let provenance = self.network.provenance();
        let answer = match (&self.answer, self.network.classes()) {
            (Some(answer), Some(classes)) => {
                let top = answer.top();
                let (name, sure) = (&top.name, 100.0 * top.probability);
                format!("{} classes; {} is \"{name}\" ({sure:.0} %)", classes.len(), self.stimulus.name())
            }
            _ => "none".into(),
        };
        let hash = provenance.weights_sha256.get(..12).unwrap_or_default();
        let mut table = Table::new(["", "what was found"])
            .caption(format!("{}: check list", self.network.name()))
            .row(["stimuli".into(), self.preprocessing()])
            .row(["weights".into(), format!("{}, SHA-256 {hash}…", provenance.source)])
            .row(["classes".into(), answer]);
        for (place, what) in self.gradients() {
            table.push([format!("gradient: {place}"), what]);
        }
        for warning in &self.warnings {
            table.push(["⚠ warning", warning.as_str()]);
        }
        if self.warnings.is_empty() {
            table.push(["warnings", "none"]);
        }
        table
    }

    /// The stages, with what was measured at each.
    pub fn stage_table(&self) -> Table {
        let input: usize = self.network.input().shape().iter().product();
        let size = match *self.network.input() {
            Input::Image { shape: [_, height, width], .. } => [height, width],
            // Behind a front end a field is counted in its cells.
            Input::Sound { .. } => {
                let front = self.network.nodes().iter().find(|node| node.shape.len() == 3);
                front.map_or([usize::MAX; 2], |node| [node.shape[1], node.shape[2]])
            }
        };
        let headers = [
            "stage",
            "shape",
            "units (× input)",
            "receptive field",
            "multiply-adds (million)",
            "gradient (ms)",
            "silent units",
            "how a gradient enters",
            "SNR (dB), after 20 steps",
        ];
        let right = Align::Right;
        let mut table = Table::new(headers)
            .align([Align::Left, Align::Left, right, right, right, right, right, Align::Left, right])
            .caption(format!("{}: stages, for {}", self.network.name(), self.stimulus.name()));
        for inspected in &self.stages {
            let InspectedStage { stage, evaluation, snr_db, .. } = inspected;
            let shape: Vec<String> = stage.shape.iter().map(ToString::to_string).collect();
            let none = || "–".to_string();
            table.push([
                stage.name.clone(),
                shape.join(" × "),
                format!("{} ({:.2})", thousands(stage.units()), stage.units() as f64 / input as f64),
                stage.receptive_field.within(size),
                if inspected.behind_module {
                    "not known".into()
                } else {
                    format!("{:.1}", stage.multiply_adds as f64 / 1e6)
                },
                evaluation.map_or_else(none, |time| format!("{:.1}", 1e3 * time.as_secs_f64())),
                format!("{:.0} %", 100.0 * inspected.silent),
                enters(inspected),
                snr_db.map_or_else(none, |[before, after]| format!("{before:.1} → {after:.1}")),
            ]);
        }
        table
    }

    /// The stimulus, the metamers after 20 steps, and how their match grew.
    pub fn figure(&self) -> Figure {
        let name = self.network.name();
        let alt = format!("{} and metamers of it after 20 steps at stages of {name}", self.stimulus.name());
        let mut panels = vec![];
        let mut plot = LinePlot::new("match at the stage").x_label("gradient evaluations").y_label("SNR (dB)");
        for smoke in &self.smoke {
            let stage = &smoke.metamer.stamp().stage;
            let line = smoke.points.iter().map(|p| (p.evaluation as f64, p.snr_db)).collect();
            plot = plot.series(stage, line);
            let [original, metamer] = crate::synthesis::panels(&smoke.metamer, stage);
            if panels.is_empty() {
                panels.push(original.caption(self.stimulus.name()));
            }
            let snr = smoke.metamer.similarity().snr_db.map_or("undefined".into(), |snr| format!("{snr:.1} dB"));
            panels.push(metamer.caption(format!("after 20 steps, SNR {snr}")));
        }
        let figure = Figure::new(alt).title(format!("{name}: metamers after 20 steps"));
        if panels.is_empty() {
            return figure.row([Panel::text("no metamer", "No stage could be matched; the warnings say why.")]);
        }
        // A cochleagram has axes, and needs the width of a page for two.
        let across = if matches!(self.stimulus, Stimulus::Sound(_)) { 2 } else { 4 };
        let rows = panels.chunks(across).map(<[Panel]>::to_vec);
        rows.fold(figure, Figure::row).row([Panel::plot(plot)])
    }
}

/// What becomes of a gradient at the matched stage.
fn enters(inspected: &InspectedStage) -> String {
    match (inspected.rectifier, inspected.module_gradient_error) {
        (Some(_), Some(off)) => format!("through its rectifier; module off by {}", percent(off)),
        (Some(_), None) => "through its rectifier, unchanged".into(),
        (None, Some(off)) => format!("as it is; module off by {}", percent(off)),
        (None, None) => "as it is".into(),
    }
}

impl Show for Inspection {
    fn bundles(&self) -> Vec<Bundle> {
        [self.table().bundles(), self.stage_table().bundles(), self.figure().bundles()].concat()
    }
}

crate::show_in_notebooks!(Inspection);
