-- A week of flights out of New York City: the sources, and what is computed from them.
-- The time of a record is when the flight left (or should have left, when it was cancelled) or
-- landed; the replay sets it. A broker deletes by that time: RETENTION_MS keeps what is of 2013.

CREATE STREAM departures (
    flight_id STRING KEY,
    carrier STRING,
    flight INTEGER,
    tailnum STRING,
    origin STRING,
    dest STRING,
    scheduled TIMESTAMP,
    departed TIMESTAMP,
    delay_min INTEGER,
    distance_mi INTEGER,
    cancelled BOOLEAN
  ) WITH (KAFKA_TOPIC = 'departures', PARTITIONS = 2, VALUE_FORMAT = 'JSON', RETENTION_MS = -1);

CREATE STREAM arrivals (
    flight_id STRING KEY,
    dest STRING,
    arrived TIMESTAMP,
    delay_min INTEGER,
    air_time_min INTEGER
  ) WITH (KAFKA_TOPIC = 'arrivals', PARTITIONS = 2, VALUE_FORMAT = 'JSON', RETENTION_MS = -1);

CREATE TABLE airlines (
    carrier STRING PRIMARY KEY,
    name STRING
  ) WITH (KAFKA_TOPIC = 'airlines', PARTITIONS = 2, VALUE_FORMAT = 'JSON');

-- Departures with the name of their airline.
CREATE STREAM named_departures AS
  SELECT d.carrier AS carrier, a.name AS airline, d.flight_id AS flight_id,
         d.origin AS origin, d.dest AS dest, d.delay_min AS delay_min
  FROM departures d LEFT JOIN airlines a ON d.carrier = a.carrier
  EMIT CHANGES;

CREATE TABLE airline_delays AS
  SELECT airline, COUNT(*) AS flights, AVG(delay_min) AS mean_delay_min
  FROM named_departures GROUP BY airline
  EMIT CHANGES;

-- How many flights left each airport in each hour, and how late on average.
CREATE TABLE hourly_departures AS
  SELECT origin, COUNT(*) AS flights, AVG(delay_min) AS mean_delay_min
  FROM departures WINDOW TUMBLING (SIZE 1 HOUR)
  GROUP BY origin
  EMIT CHANGES;

-- Each departure with its arrival.
CREATE STREAM trips AS
  SELECT d.flight_id AS flight_id, d.origin AS origin, d.dest AS dest,
         d.delay_min AS departure_delay_min, a.delay_min AS arrival_delay_min,
         a.air_time_min AS air_time_min
  FROM departures d JOIN arrivals a WITHIN 12 HOURS GRACE PERIOD 1 HOUR
    ON d.flight_id = a.flight_id
  EMIT CHANGES;

CREATE TABLE landings AS
  SELECT origin, COUNT(*) AS landed, AVG(arrival_delay_min) AS mean_arrival_delay_min
  FROM trips GROUP BY origin
  EMIT CHANGES;
