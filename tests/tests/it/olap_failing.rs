//! Tables of Pinot that answer, and do not take all rows in.

use millrace_tests::local::await_some;
use millrace_tests::olap_stub::Played;

use crate::olap_change::World;

const STOPPED: &str = "java.lang.IllegalStateException: x\n\tat y\nCaused by: no memory is left";

/// A consumer that gave up leaves the controller's list of those that read: what it lists reads on.
#[test]
fn a_table_that_leaves_a_partition_out_is_not_running() {
    for played in [Played::Pinot(0, 11), Played::Pinot(1, 5)] {
        let world = World::start(played);
        world.create("x", "clicks");
        world.load("clicks", 0, 10);
        world.await_stream("x", "clicks");
        let await_well = || {
            await_some("all is well", || match world.sink("X") {
                status
                    if status.state == "RUNNING"
                        && status.last_error.is_none()
                        && (status.lag, status.freshness_ms) == (Some(0), Some(0)) =>
                {
                    Ok(())
                }
                status => Err(format!("{status:?}")),
            });
        };
        await_well();
        world.stub.set_failing(Some(STOPPED));
        let status = world.sink("X");
        assert_eq!(status.state, "FAILING", "{status:?}");
        let why = status.last_error.expect("a reason");
        for part in ["nobody reads partition 0 of the topic", "no memory is left"] {
            assert!(why.contains(part), "{why}");
        }
        await_some("it gets older", || match world.sink("X").freshness_ms {
            Some(age) if age > 0 => Ok(()),
            age => Err(format!("{age:?}")),
        });
        world.stub.set_failing(None);
        await_well();
    }
}
