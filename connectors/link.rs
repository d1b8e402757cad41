//! Build script of every package that links librdkafka: see `src/kafka/leaders.rs`,
//! `coordinator.rs` and `lookups.rs`.

fn main() {
    println!("cargo:rerun-if-changed=../connectors/link.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-link-arg=-Wl,--wrap=rd_kafkap_leader_discovery_set_topic_cnt");
        println!("cargo:rustc-link-arg=-Wl,--wrap=rd_kafka_coord_req");
        let looking = "rd_kafka_topic_partition_list_query_leaders_async";
        println!("cargo:rustc-link-arg=-Wl,--wrap={looking}");
    }
}
