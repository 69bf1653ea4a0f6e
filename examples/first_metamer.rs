//! Makes a metamer of a panda from noise, and saves the stimulus, its figure as an image and as a self-contained page, and all that is
//! needed to reproduce it.
//!
//! Run: `cargo run --release --example first_metamer -- block5 OUTPUT_FOLDER`

use metamers::prelude::*;

fn main() -> metamers::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let stage = arguments.next().unwrap_or_else(|| "block5".into());
    let folder = std::path::PathBuf::from(arguments.next().unwrap_or_else(|| ".".into()));

    let net = zoo::efficientnet_lite0()?;
    let panda = Image::open("photos/giant_panda.jpg")?;
    net.classify(&panda, 5)?.show();

    let mut run = Synthesis::new(&net, &stage, &panda)?.seed(7).start()?;
    println!("{}", run.until(20.0)?);
    let metamer = run.finish()?;
    metamer.show();
    metamer.image()?.save_png16(folder.join("stimulus.png"))?;
    metamer.export(folder.join("metamer.png"))?;
    metamer.export(folder.join("metamer.html"))?;
    metamer.save(folder.join("panda.metamer"))
}
