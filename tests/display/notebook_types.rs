//! A notebook keeps variables between cells and moves them between threads, so each type must be `Send + 'static`.

use metamers::display::{Live, MimeBundle, ProgressBar as Line, Raster};
use metamers::experiment::TaskBuilder;
use metamers::experiment::analysis::{Answer, Block, ConditionProportion, Excluded, Person, RepeatedMeasures};
use metamers::hearing::{LogMel, LogMelConfig};
use metamers::inspection::{InspectedStage, Inspection};
use metamers::network::{
    BatchNorm, Builder, CandleModule, Checkpoint, ClassScore, Classification, HubFile, Input, Layer, Neighbor,
    Neighbors, NodeId, ReceptiveField, Stage, StageMarker, WeightsSource,
};
use metamers::ops::{
    AvgPool2d, ChannelAffine, Conv2d, Conv2dConfig, GlobalAvgPool, L2Norm, Linear, MaxPool2d, MinMaxNorm, Padding,
    Relu, Standardize, StraightThroughRelu, Window,
};
use metamers::prelude::{analysis::*, networks::*, plots::*, recipes::*, *};
use metamers::session_info::NetworkUse;
use metamers::stimulus::{Photo, Photos};
use metamers::sweep::{Cost, CostRow, Plan, RecipeChoice, Row, Slurm, Stages, Submission};
use metamers::synthesis::{Lbfgs, Plateau, Point, Progress, Provenance};

fn kept<T: Send + 'static>() {}

macro_rules! kept {
    ($($type:ty),+ $(,)?) => { $(kept::<$type>();)+ };
}

#[test]
fn every_type_of_a_notebook_can_be_kept_and_moved() {
    kept!(Bars, MimeBundle, Figure, HeatMap, Line, LinePlot, Live, Palette, Panel, Raster, Table);
    kept!(BatchNorm, Builder, Checkpoint, Classification, ClassScore, Input, Layer, Network, NodeId, WeightsSource);
    kept!(CandleModule, HubFile, InspectedStage, Inspection, ReceptiveField, Stage, StageMarker);
    kept!(AvgPool2d, ChannelAffine, Relu, Conv2d, Conv2dConfig, GlobalAvgPool, Linear, StraightThroughRelu, MaxPool2d);
    kept!(Standardize, LogMel, LogMelConfig, Neighbor, Neighbors, NearestNeighbor, Padding, MinMaxNorm, L2Norm, Window);
    kept!(Image, Noise, Photo, Photos);
    kept!(
        Stop,
        StopReason,
        Lbfgs,
        Loss,
        Metamer,
        Optimizer,
        Plateau,
        Point,
        Progress,
        Recipe,
        Run,
        Provenance,
        Initialization,
        Synthesis
    );
    kept!(
        Analysis,
        Answer,
        Answers,
        Block,
        Choices,
        Excluded,
        ExclusionRule,
        Item,
        Person,
        ConditionProportion,
        Published
    );
    kept!(Recognition, RecognitionTask, RepeatedMeasures, SimulatedClass, StageEffect, TaskBuilder, Timing);
    kept!(Cost, CostRow, Plan, RecipeChoice, Row, Slurm, Stages, Submission, Sweep, SweepResults);
    kept!(NetworkUse, Reproduction, metamers::session_info::SessionInfo);
    kept!(Similarity, Error, Result<()>, Tensor, Var);
}
