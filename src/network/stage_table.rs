//! The table of a network's stages.

use super::{Input, Network};
use crate::display::{Align, MimeBundle, Show, Table};
use crate::ops::Locality;

/// Placeholder for an unknown number.
const UNKNOWN: &str = "not known";

impl Network {
    /// The stages as a table: shape, units, receptive field, and parameters and multiply-adds up to each.
    pub fn table(&self) -> Table {
        let (cells, size) = self.field_grid();
        let input = match *self.input() {
            Input::Image { shape: [channels, height, width], .. } => {
                format!("{channels} × {height} × {width}, values in [0, 1]")
            }
            Input::Sound { samples, sample_rate: rate } => format!("{samples} samples at {rate} Hz, values in [-1, 1]"),
        };
        let field = format!("receptive field ({cells})");
        let headers = ["stage", "shape", "units", &field, "parameters", "multiply-adds (million)"];
        let mut table = Table::new(headers)
            .align([Align::Left, Align::Left, Align::Right, Align::Right, Align::Right, Align::Right])
            .caption(format!("{}: input {input}", self.name()));
        for stage in self.stages() {
            // The parameters and operations of a custom module are unknown.
            let opaque = self.modules(&stage.name).is_ok_and(|modules| !modules.is_empty());
            let shape: Vec<String> = stage.shape.iter().map(ToString::to_string).collect();
            table = table.row([
                stage.name.clone(),
                shape.join(" × "),
                thousands(stage.units()),
                stage.receptive_field.within(size),
                if opaque { UNKNOWN.into() } else { thousands(stage.num_parameters) },
                if opaque { UNKNOWN.into() } else { format!("{:.1}", stage.macs as f64 / 1e6) },
            ]);
        }
        table
    }

    /// The unit of receptive fields (pixels, or a front end's cells) and the input's size in it.
    pub(crate) fn field_grid(&self) -> (&'static str, [usize; 2]) {
        if let Input::Image { shape: [_, height, width], .. } = *self.input() {
            return ("pixels", [height, width]);
        }
        let front = self.nodes().iter().find(|node| node.shape.len() == 3);
        let cells = match front.map(|node| node.layer.locality()) {
            Some(Locality::FrontEnd { cells }) => cells,
            _ => "channels × frames",
        };
        (cells, front.map_or([usize::MAX; 2], |node| [node.shape[1], node.shape[2]]))
    }
}

impl Show for Network {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        self.table().mime_bundles()
    }
}

crate::show_in_notebooks!(Network);

/// Formats a number with thousands separators.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let group =
        |(i, c): (usize, char)| if i > 0 && (digits.len() - i).is_multiple_of(3) { vec![',', c] } else { vec![c] };
    digits.chars().enumerate().flat_map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn thousands_are_separated_by_commas() {
        assert_eq!([7, 999, 1000, 401_408, 4_652_008].map(thousands), ["7", "999", "1,000", "401,408", "4,652,008"]);
    }
}
