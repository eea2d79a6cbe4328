// SPDX-License-Identifier: Apache-2.0
// read.js DIR: DIR/metrics, DIR/traces and DIR/logs as the decoder of @opentelemetry/otlp-transformer reads them.
'use strict';
const assert = require('assert');
const fs = require('fs');
const path = require('path');

const transformer = path.dirname(require.resolve('@opentelemetry/otlp-transformer/package.json'));
const root = require(path.join(transformer, 'build/src/generated/root.js'));
const collector = root.opentelemetry.proto.collector;
const dir = process.argv[2];

// Every byte must be known to the decoder: what it encodes again is as long as what it read, but for `newer` bytes.
function read(type, name, newer = 0) {
  const bytes = fs.readFileSync(path.join(dir, name));
  const message = type.decode(bytes);
  assert.strictEqual(type.encode(message).finish().length + newer, bytes.length, name + ' is not read whole');
  return message;
}

const hex = bytes => Buffer.from(bytes).toString('hex');
const values = list => Object.fromEntries(list.map(a => [a.key, a.value.stringValue || Number(a.value.intValue)]));

const metrics = read(collector.metrics.v1.ExportMetricsServiceRequest, 'metrics').resourceMetrics[0];
const resource = values(metrics.resource.attributes);
assert.strictEqual(resource['service.name'], 'gavel');
assert.strictEqual(resource['service.instance.id'], 'node-1');
assert.strictEqual(resource['service.namespace'], 'blue');
const [operations, role, sync] = metrics.scopeMetrics[0].metrics;
assert.strictEqual(operations.name, 'state.operations.total');
assert.strictEqual(operations.unit, '{operation}');
assert.strictEqual(operations.sum.isMonotonic, true);
assert.strictEqual(operations.sum.aggregationTemporality, 2);
assert.deepStrictEqual(operations.sum.dataPoints.map(p => Number(p.asInt)), [5, 10]);
assert.strictEqual(role.gauge.dataPoints[0].asDouble, -5);
assert.deepStrictEqual(sync.histogram.dataPoints[0].bucketCounts.map(Number), [1, 2, 5, 0]);
assert.deepStrictEqual(sync.histogram.dataPoints[0].explicitBounds, [0.5, 1, 1000000]);

// It was made before spans had flags: a tag of two bytes, and four.
const span = read(collector.trace.v1.ExportTraceServiceRequest, 'traces', 6).resourceSpans[0].scopeSpans[0].spans[0];
assert.strictEqual(span.name, 'state.set');
assert.strictEqual(hex(span.traceId), '0102030405060708090a0b0c0d0e0f10');
assert.strictEqual(hex(span.spanId), '1112131415161718');
assert.strictEqual(hex(span.parentSpanId), '2122232425262728');
assert.strictEqual(span.kind, 2);
assert.strictEqual(span.status.code, 2);
assert.strictEqual(values(span.attributes).term, 7);
assert.strictEqual(values(span.attributes).key, '42');

const record = read(collector.logs.v1.ExportLogsServiceRequest, 'logs').resourceLogs[0].scopeLogs[0].logRecords[0];
assert.strictEqual(record.severityNumber, 9);
assert.strictEqual(record.severityText, 'INFO');
assert.strictEqual(record.body.stringValue, 'hello');
assert.strictEqual(hex(record.traceId), '0102030405060708090a0b0c0d0e0f10');
assert.strictEqual(hex(record.spanId), '1112131415161718');
console.log('read.js: metrics, traces and logs are read as they were meant');
