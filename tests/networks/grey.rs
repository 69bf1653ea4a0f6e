//! Networks with one channel, and networks that no photo fits.

use metamers::network::{Input, OnnxOptions};
use metamers::prelude::*;

use crate::common::data;

fn grey() -> Network {
    Network::from_onnx(data("onnx/grey.onnx"), OnnxOptions::default().unchanged()).unwrap()
}

#[test]
fn photos_become_grey_for_a_network_with_one_channel() {
    let net = grey();
    let dog = Image::open("photos/dog.jpg").unwrap();
    let prepared = net.prepare(&dog).unwrap();
    let image = prepared.image().unwrap();
    assert_eq!((image.channels(), image.width(), image.height()), (1, 28, 28));
    assert_eq!(net.prepare(dog.to_gray()).unwrap(), prepared);
    assert_eq!(net.prepare(&prepared).unwrap(), prepared);
    net.inspect().unwrap();
}

#[test]
fn metamers_of_a_network_with_one_channel_are_grey_and_can_be_saved() {
    let folder = tempfile::tempdir().unwrap();
    let net = grey();
    let stage = net.stages()[0].name.clone();
    for recipe in [Recipe::natural_prior(), Recipe::feather2019(), Recipe::plenoptic()] {
        let dog = Image::open("photos/dog.jpg").unwrap();
        let mut run = Synthesis::new(&net, &stage, dog).unwrap().recipe(recipe).quiet().start().unwrap();
        run.step(5).unwrap();
        assert!(run.gradient().is_ok());
        let before = run.finish().unwrap();
        assert_eq!(before.image().unwrap().channels(), 1);
        let path = folder.path().join("grey.metamer");
        before.save(&path).unwrap();
        assert_eq!(Metamer::open(&path).unwrap().image().unwrap().values(), before.image().unwrap().values());
        assert!(before.mime_bundles()[0].plain().contains("dog"));
    }
}

#[test]
fn networks_with_three_channels_take_grey_photos() {
    let net = zoo::efficientnet_lite0().unwrap();
    let panda = Image::open("photos/red_panda.jpg").unwrap().to_gray();
    assert_eq!(net.prepare(&panda).unwrap().image().unwrap().channels(), 3);
    assert!(net.classify(&panda, 1).is_ok());
}

#[test]
fn a_network_that_no_photo_fits_is_refused_at_construction() {
    let identity = |channels| {
        let input = Input::Image { shape: [channels, 8, 8], resize: 8 };
        Network::from_module("mine", input, |x, mark| mark.stage("all", x.clone()))
    };
    assert!(identity(1).is_ok() && identity(3).is_ok());
    for channels in [2, 4] {
        let error = identity(channels).unwrap_err().to_string();
        assert!(
            error.contains(&format!("takes images of {channels} channels")) && error.contains("1 (grey)"),
            "{error}"
        );
    }
}
