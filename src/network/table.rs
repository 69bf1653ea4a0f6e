//! A network as a table of its stages.

use super::Network;
use crate::display::{Align, Bundle, Show, Table};

impl Network {
    /// The stages: shape, units, receptive field in pixels, parameters and multiply-adds up to each.
    pub fn table(&self) -> Table {
        let [channels, height, width] = self.input().shape;
        let headers = ["stage", "shape", "units", "receptive field (pixels)", "parameters", "multiply-adds (million)"];
        let mut table = Table::new(headers)
            .align([Align::Left, Align::Left, Align::Right, Align::Right, Align::Right, Align::Right])
            .caption(format!("{}: input {channels} × {height} × {width}, values in [0, 1]", self.name()));
        for stage in self.stages() {
            let shape: Vec<String> = stage.shape.iter().map(ToString::to_string).collect();
            table = table.row([
                stage.name.clone(),
                shape.join(" × "),
                thousands(stage.units()),
                match stage.receptive_field.size {
                    Some([rows, columns]) if rows < height || columns < width => stage.receptive_field.to_string(),
                    _ => "whole input".into(),
                },
                thousands(stage.parameters),
                format!("{:.1}", stage.multiply_adds as f64 / 1e6),
            ]);
        }
        table
    }
}

impl Show for Network {
    fn bundles(&self) -> Vec<Bundle> {
        self.table().bundles()
    }
}

crate::show_in_notebooks!(Network);

/// A number with its digits in groups of three.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let group =
        |(i, c): (usize, char)| if i > 0 && (digits.len() - i).is_multiple_of(3) { vec![',', c] } else { vec![c] };
    digits.chars().enumerate().flat_map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn digits_stand_in_groups_of_three() {
        assert_eq!([7, 999, 1000, 401_408, 4_652_008].map(thousands), ["7", "999", "1,000", "401,408", "4,652,008"]);
    }
}
