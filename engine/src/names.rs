//! Names of topics, groups and transactional ids of one service: ksqlDB's where a user could look
//! for them.

/// Names derived from the service id (`ksql.service.id`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    pub service: String,
}

impl Names {
    pub fn new(service: impl Into<String>) -> Self {
        Names { service: service.into() }
    }

    /// DDL, one partition.
    pub fn command_topic(&self) -> String {
        format!("_confluent-ksql-{}_command_topic", self.service)
    }

    /// Positions and lane headers, one partition a lane.
    pub fn progress_topic(&self) -> String {
        format!("_confluent-ksql-{}_progress", self.service)
    }

    pub fn processing_log(&self) -> String {
        format!("{}ksql_processing_log", self.service)
    }

    /// Kafka Streams' application id of a query; also its consumer group.
    pub fn application(&self, query: &str) -> String {
        format!("_confluent-ksql-{}query_{query}", self.service)
    }

    /// The topic between two sub-topologies; the messages of a foreign-key join are no repartition,
    /// and their steps say so.
    pub fn repartition_topic(&self, query: &str, step: &str) -> String {
        let application = self.application(query);
        match step.ends_with("-topic") {
            true => format!("{application}-{step}"),
            false => format!("{application}-{step}-repartition"),
        }
    }

    pub fn changelog_topic(&self, query: &str, store: &str) -> String {
        format!("{}-{store}-changelog", self.application(query))
    }

    /// Transactional id of a lane.
    pub fn lane_writer(&self, lane: u32) -> String {
        format!("{}-lane-{lane}", self.service)
    }

    /// Transactional id under which commands are appended (R35).
    pub fn command_writer(&self) -> String {
        format!("{}-command", self.service)
    }

    /// Group whose members share out the lanes.
    pub fn lane_group(&self) -> String {
        format!("_confluent-ksql-{}lanes", self.service)
    }

    /// True for topics that SHOW TOPICS hides unless asked for ALL.
    pub fn is_internal(topic: &str) -> bool {
        topic.starts_with("_confluent") || topic.starts_with("__")
    }

    /// True for topics that statements may read but neither write nor delete: internal ones, and this
    /// service's processing log.
    pub fn is_own(&self, topic: &str) -> bool {
        Names::is_internal(topic) || topic == self.processing_log()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_the_service_are_its_own() {
        let names = Names::new("a_");
        let others = Names::new("b_");
        let cases = [
            (names.command_topic(), true),
            (names.progress_topic(), true),
            (names.processing_log(), true),
            (names.changelog_topic("CTAS_T_1", "Aggregate"), true),
            (names.repartition_topic("CTAS_T_1", "Aggregate"), true),
            (others.command_topic(), true),
            ("__consumer_offsets".to_owned(), true),
            (others.processing_log(), false),
            ("orders".to_owned(), false),
            ("a_orders".to_owned(), false),
        ];
        for (topic, own) in cases {
            assert_eq!(names.is_own(&topic), own, "{topic}");
        }
    }
}
