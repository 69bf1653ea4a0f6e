//! A notebook keeps variables between cells and moves them between threads, so each type must be `Send + 'static`.

use metamers::display::{Live, MimeBundle, ProgressBar as Line, Raster};
use metamers::experiment::TaskBuilder;
use metamers::experiment::analysis::{Answer, Block, ConditionProportion, Excluded, Participant, RepeatedMeasures};
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
use metamers::prelude::{analysis::*, networks::*, plots::*, recipes::*, widgets::*, *};
use metamers::session_info::NetworkUse;
use metamers::stimulus::{Photo, Photos};
use metamers::sweep::{Cost, CostRow, Plan, RecipeChoice, Row, Slurm, StageSelection, Submission};
use metamers::synthesis::{Point, Progress, Provenance};

fn assert_send<T: Send + 'static>() {}

macro_rules! assert_send {
    ($($type:ty),+ $(,)?) => { $(assert_send::<$type>();)+ };
}

#[test]
fn types_of_notebook_variables_are_send_and_static() {
    assert_send!(Bars, MimeBundle, Figure, HeatMap, Line, LinePlot, Live, Palette, Panel, Raster, Table);
    assert_send!(
        BatchNorm,
        Builder,
        Checkpoint,
        Classification,
        ClassScore,
        Input,
        Layer,
        Network,
        NodeId,
        WeightsSource
    );
    assert_send!(CandleModule, HubFile, InspectedStage, Inspection, ReceptiveField, Stage, StageMarker);
    assert_send!(
        AvgPool2d,
        ChannelAffine,
        Relu,
        Conv2d,
        Conv2dConfig,
        GlobalAvgPool,
        Linear,
        StraightThroughRelu,
        MaxPool2d
    );
    assert_send!(
        Standardize,
        LogMel,
        LogMelConfig,
        Neighbor,
        Neighbors,
        NearestNeighbor,
        Padding,
        MinMaxNorm,
        L2Norm,
        Window
    );
    assert_send!(Image, Noise, Photo, Photos);
    assert_send!(Checkbox, Compare, FloatSlider, ToggleButtons, VBox, Widget);
    // `Outcome` is in no sub-prelude besides.
    assert_send!(NullDistribution, Outcome, Verdict);
    assert_send!(
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
        Synthesis,
        Variables
    );
    assert_send!(
        Analysis,
        Answer,
        Answers,
        Block,
        Choices,
        Excluded,
        ExclusionRule,
        Item,
        Participant,
        ConditionProportion,
        Published
    );
    assert_send!(
        Recognition,
        RecognitionTask,
        RepeatedMeasures,
        SimulatedParticipants,
        StageEffect,
        TaskBuilder,
        Timing
    );
    assert_send!(Cost, CostRow, Plan, RecipeChoice, Row, Slurm, StageSelection, Submission, Sweep, SweepResults);
    assert_send!(NetworkUse, Reproduction, metamers::session_info::SessionInfo);
    assert_send!(Similarity, Error, Result<()>, Tensor, Var);
}
