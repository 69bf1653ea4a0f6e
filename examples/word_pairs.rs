//! How alike the activations of two different words are, at each stage of the shipped word network: what a metamer must exceed.
//!
//! Prints the largest ρ, r and SNR over all pairs of the shipped recordings. Two recordings of one word are left out.

use metamers::prelude::*;
use metamers::verdict::Similarity;

fn main() -> Result<()> {
    let net = zoo::cochcnn_words()?;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/speech");
    let entries = std::fs::read_dir(folder).map_err(|e| Error::invalid("speech", e.to_string()))?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "wav") && !file.ends_with("november_letter.wav"));
    files.sort();
    let words = files.iter().map(|file| Sound::open(file)?.prepare(20_000, 40_000)).collect::<Result<Vec<_>>>()?;
    println!(
        "{} words, {} pairs\nstage        largest ρ  largest r  largest SNR (dB)",
        words.len(),
        words.len() * (words.len() - 1) / 2
    );
    for stage in net.stages() {
        let activations = |word: &Sound| -> Result<Vec<f32>> {
            Ok(net.forward_to(&stage.name, &word.to_tensor()?)?.flatten_all()?.to_vec1()?)
        };
        let activations = words.iter().map(activations).collect::<Result<Vec<_>>>()?;
        let mut largest = [f64::NEG_INFINITY; 3];
        for (i, a) in activations.iter().enumerate() {
            for b in &activations[i + 1..] {
                let s = Similarity::between(a, b)?;
                for (largest, found) in largest.iter_mut().zip([s.spearman, s.pearson, s.snr_db]) {
                    *largest = largest.max(found.unwrap_or(f64::NEG_INFINITY));
                }
            }
        }
        println!("{:<12} {:9.3}  {:9.3}  {:16.1}", stage.name, largest[0], largest[1], largest[2]);
    }
    Ok(())
}
