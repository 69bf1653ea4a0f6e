//! A notebook keeps its variables between cells and moves them between threads: each type must own all it holds.

use metamers::display::{Bundle, Live, Progress as Line, Raster};
use metamers::experiment::TaskBuilder;
use metamers::experiment::analysis::{Answer, Block, Excluded, Person, Proportion, RepeatedMeasures};
use metamers::hearing::{LogMel, LogMelConfig};
use metamers::inspection::{InspectedStage, Inspection};
use metamers::network::{
    BatchNorm, Builder, CandleModule, Checkpoint, Classification, Guess, HubFile, Input, Layer, Match, Matches, NodeId,
    Provenance, ReceptiveField, Stage, StageMarker,
};
use metamers::ops::{
    AvgPool2d, ChannelAffine, Clip, Conv2d, Conv2dConfig, FrameNorm, GlobalAvgPool, Linear, MatchedClip, MaxPool2d,
    Padding, RangeNorm, UnitNorm, Window,
};
use metamers::prelude::*;
use metamers::stimulus::{Photo, Photos};
use metamers::surroundings::NetworkUse;
use metamers::sweep::{Cost, CostRow, Plan, RecipeChoice, Row, Slurm, Stages, Submission};
use metamers::synthesis::{Lbfgs, Plateau, Point, Progress, Stamp};

fn kept<T: Send + 'static>() {}

macro_rules! kept {
    ($($type:ty),+ $(,)?) => { $(kept::<$type>();)+ };
}

#[test]
fn every_type_of_a_notebook_can_be_kept_and_moved() {
    kept!(Bars, Bundle, Figure, HeatMap, Line, LinePlot, Live, Palette, Panel, Raster, Table);
    kept!(BatchNorm, Builder, Checkpoint, Classification, Guess, Input, Layer, Network, NodeId, Provenance);
    kept!(CandleModule, HubFile, InspectedStage, Inspection, ReceptiveField, Stage, StageMarker);
    kept!(AvgPool2d, ChannelAffine, Clip, Conv2d, Conv2dConfig, GlobalAvgPool, Linear, MatchedClip, MaxPool2d);
    kept!(FrameNorm, LogMel, LogMelConfig, Match, Matches, Nearest, Padding, RangeNorm, UnitNorm, Window);
    kept!(Image, Noise, Photo, Photos);
    kept!(Ended, Lbfgs, Loss, Metamer, Optimiser, Plateau, Point, Progress, Recipe, Run, Stamp, Start, Synthesis);
    kept!(Analysis, Answer, Answers, Block, Choices, Excluded, ExclusionRule, Item, Person, Proportion, Published);
    kept!(Recognition, RecognitionTask, RepeatedMeasures, SimulatedClass, StageEffect, TaskBuilder, Timing);
    kept!(Cost, CostRow, Plan, RecipeChoice, Row, Slurm, Stages, Submission, Sweep, SweepResults);
    kept!(NetworkUse, Reproduction, Surroundings);
    kept!(Similarity, Error, Result<()>, Tensor, Var);
}
