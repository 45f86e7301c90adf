#include "tools/bn/bn_moments_file.h"

#include "tools/formats/input_file.h"
#include "tools/formats/output_file.h"
#include "tools/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC   "NORMAMOM"
#define VERSION 1

static uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0xBF58476D1CE4E5B9u;
  return hash ^ hash >> 29;
}

static uint64_t bits_of(double number) {
  uint64_t bits;
  memcpy(&bits, &number, sizeof bits);
  return bits;
}

/* What the numbers in the file depend on. */
static uint64_t settings_fingerprint(const bn_estimate *estimate) {
  const struct reestimate_settings *settings = estimate->settings;
  uint64_t hash = mix(1, settings->method);
  hash = mix(hash, estimate->simultaneous);
  hash = mix(hash, (uint64_t)estimate->passes);
  hash = mix(hash, estimate->simultaneous ? (uint64_t)settings->batch : 0);
  hash = mix(hash, settings->method == METHOD_EMA ? bits_of(settings->momentum) : 0);
  hash = mix(hash, settings->sample_variance);
  hash = mix(hash, bits_of(settings->scale));
  for (int i = 0; i < settings->mean.count; i++) hash = mix(hash, bits_of(settings->mean.numbers[i]));
  for (int i = 0; i < settings->std.count; i++) hash = mix(hash, bits_of(settings->std.numbers[i]));
  for (size_t i = 0; i < estimate->count; i++) hash = mix(hash, estimate->nodes[i].about.is_chosen);
  return hash;
}

static uint64_t checksum(const char *bytes, size_t size) {
  uint64_t hash = size;
  for (size_t at = 0; at + 8 <= size; at += 8) {
    uint64_t word;
    memcpy(&word, bytes + at, 8);
    hash = mix(hash, word);
  }
  return hash;
}

/* ---------------------------------------------------------------------------------------------------------- writing */

static void put(FILE *file, uint64_t word) {
  fwrite(&word, sizeof word, 1, file);
}

static void put_doubles(FILE *file, const double *numbers, int64_t count) {
  fwrite(numbers, sizeof *numbers, (size_t)count, file);
}

static bool put_bytes(void *context, const void *bytes, size_t count) {
  return fwrite(bytes, 1, count, context) == count;
}

/* Write errors stay in the stream. */
static void put_node(FILE *file, const node_estimate *node, size_t index) {
  norma_error error;
  put(file, index);
  put(file, (uint64_t)node->channels);
  put(file, node->done);
  put(file, bits_of(node->count));
  put_doubles(file, node->mean, node->channels);
  put_doubles(file, node->variance, node->channels);
  norma_moments_export(node->moments, put_bytes, file, &error);
}

static void put_all(FILE *file, const bn_estimate *estimate) {
  size_t chosen = 0;
  for (size_t i = 0; i < estimate->count; i++) chosen += estimate->nodes[i].about.is_chosen;
  fwrite(MAGIC, 1, 8, file);
  put(file, VERSION);
  put(file, estimate->fingerprint);
  put(file, settings_fingerprint(estimate));
  put(file, (uint64_t)estimate->samples);
  put(file, (uint64_t)estimate->pass);
  put(file, (uint64_t)estimate->next);
  put(file, estimate->whole);
  put(file, chosen);
  for (size_t i = 0; i < estimate->count; i++) {
    if (estimate->nodes[i].about.is_chosen) put_node(file, &estimate->nodes[i], i);
  }
}

bool bn_moments_write(const bn_estimate *estimate, const char *path) {
  char *bytes = NULL;
  size_t size = 0;
  output_group group = {.is_durable = true};
  FILE *stream = open_memstream(&bytes, &size);
  if (stream) put_all(stream, estimate);
  if (!stream || fclose(stream) != 0) {
    free(bytes);
    tool_error("out of memory");
    return false;
  }
  uint64_t sum = checksum(bytes, size);
  FILE *file = output_open(&group, path);
  if (file) {
    fwrite(bytes, 1, size, file);
    put(file, sum);
  }
  free(bytes);
  if (file && output_commit(&group)) return true;
  output_discard(&group);
  return false;
}

/* ---------------------------------------------------------------------------------------------------------- reading */

typedef struct moments_reader {
  const char *path, *at;
  size_t left;
  bool failed;
} moments_reader;

static uint64_t take(moments_reader *reader) {
  uint64_t word = 0;
  if (reader->left < sizeof word) {
    reader->failed = true;
    return 0;
  }
  memcpy(&word, reader->at, sizeof word);
  reader->at += sizeof word;
  reader->left -= sizeof word;
  return word;
}

static double take_double(moments_reader *reader) {
  uint64_t bits = take(reader);
  double number;
  memcpy(&number, &bits, sizeof number);
  if (!isfinite(number)) reader->failed = true;
  return number;
}

static void take_doubles(moments_reader *reader, double *numbers, int64_t count) {
  for (int64_t i = 0; i < count && !reader->failed; i++) numbers[i] = take_double(reader);
}

static bool damaged(const moments_reader *reader) {
  tool_error("%s: is damaged, or no file of moments", reader->path);
  return false;
}

/* The moments of a node, as norma_moments_export has written them, into `moments`. */
static bool take_moments(moments_reader *reader, norma_moments *moments) {
  norma_error error;
  size_t used = 0;
  norma_status status = norma_moments_import(moments, reader->at, reader->left, &used, &error);
  if (status == NORMA_ERROR_FORMAT) return damaged(reader);
  if (status != NORMA_OK) tool_error("%s", error.message);
  reader->at += used;
  reader->left -= used;
  return status == NORMA_OK;
}

/* The same, added to what is there. */
static bool merge_moments(moments_reader *reader, const bn_estimate *estimate, const node_estimate *node) {
  norma_moments *share;
  norma_error error;
  if (norma_moments_create(estimate->runtime, node->channels, &share, &error) != NORMA_OK) {
    tool_error("%s", error.message);
    return false;
  }
  bool good = take_moments(reader, share);
  if (good && norma_moments_merge(node->moments, share, &error) != NORMA_OK) {
    tool_error("%s", error.message);
    good = false;
  }
  norma_moments_destroy(share);
  return good;
}

static bool take_node(moments_reader *reader, bn_estimate *estimate, size_t index, bool merge) {
  node_estimate *node = &estimate->nodes[index];
  uint64_t number = take(reader), channels = take(reader);
  if (reader->failed || number != index || channels != (uint64_t)node->channels) return damaged(reader);
  double *vectors = malloc((size_t)node->channels * 2 * sizeof *vectors);
  if (!vectors) {
    tool_error("out of memory");
    return false;
  }
  bool done = take(reader) != 0;
  double count = take_double(reader);
  take_doubles(reader, vectors, 2 * node->channels);
  if (!merge && !reader->failed) {
    node->done = done;
    node->count = count;
    memcpy(node->mean, vectors, (size_t)node->channels * 2 * sizeof *vectors);
  }
  free(vectors);
  if (reader->failed) return damaged(reader);
  return merge ? merge_moments(reader, estimate, node) : take_moments(reader, node->moments);
}

static bool take_all(moments_reader *reader, bn_estimate *estimate, bool merge) {
  size_t chosen = 0;
  if (reader->left < 8 || memcmp(reader->at, MAGIC, 8) != 0) return damaged(reader);
  take(reader);
  uint64_t version = take(reader), model = take(reader), settings = take(reader), samples = take(reader);
  uint64_t pass = take(reader), next = take(reader), whole = take(reader), count = take(reader);
  if (reader->failed || pass < 1 || next > INT64_MAX || samples > INT64_MAX) return damaged(reader);
  if (version != VERSION) {
    tool_error("%s: has version %" PRIu64 ", this program knows %d", reader->path, version, VERSION);
    return false;
  }
  if (model != estimate->fingerprint) {
    tool_error("%s: belongs to another model than %s", reader->path, estimate->path);
    return false;
  }
  if (settings != settings_fingerprint(estimate)) {
    tool_error("%s: was begun with other settings (method, order, batch, momentum, epochs, variance, --only, --mean, "
               "--std or --scale)",
               reader->path);
    return false;
  }
  if (merge && (pass != (uint64_t)estimate->pass || !whole)) {
    tool_error(whole ? "%s: is at pass %" PRIu64 ", the other files are at pass %d"
                     : "%s: pass %" PRIu64 " is not done there yet (it was pass %d that was asked for)",
               reader->path, pass, estimate->pass);
    return false;
  }
  if (merge && (int64_t)samples > INT64_MAX - estimate->samples) return damaged(reader);
  for (size_t i = 0; i < estimate->count; i++) chosen += estimate->nodes[i].about.is_chosen;
  if (count != chosen || pass > (uint64_t)estimate->passes + 1) return damaged(reader);
  estimate->pass = (int)pass;
  if (!merge) {
    estimate->next = (int64_t)next;
    estimate->whole = whole != 0;
  }
  estimate->samples = merge ? estimate->samples + (int64_t)samples : (int64_t)samples;
  for (size_t i = 0; i < estimate->count; i++) {
    if (estimate->nodes[i].about.is_chosen && !take_node(reader, estimate, i, merge)) return false;
  }
  return reader->left == 0 || damaged(reader);
}

static bool read_file(bn_estimate *estimate, const char *path, bool merge) {
  file_contents file;
  norma_error error;
  uint64_t sum;
  if (file_read(NULL, path, &file, &error) != NORMA_OK) {
    tool_error("%s", error.message);
    return false;
  }
  moments_reader reader = {path, file.bytes, file.size < 8 ? 0 : file.size - 8, false};
  bool good = file.size >= 16 && file.size % 8 == 0;
  if (good) memcpy(&sum, file.bytes + file.size - 8, 8);
  good = good && sum == checksum(file.bytes, file.size - 8);
  if (good) {
    good = take_all(&reader, estimate, merge);
  } else {
    damaged(&reader);
  }
  file_contents_free(&file);
  return good;
}

bool bn_moments_read(bn_estimate *estimate, const char *path) {
  return read_file(estimate, path, false);
}

bool bn_moments_merge(bn_estimate *estimate, const char *path) {
  return read_file(estimate, path, true);
}
