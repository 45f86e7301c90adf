#include "tools/bn/bn_moments_file.h"

#include "engine/base/status.h"
#include "engine/base/whole_file.h"
#include "tools/formats/input_file.h"
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
  const struct settings *settings = estimate->settings;
  uint64_t hash = mix(1, settings->method);
  hash = mix(hash, estimate->simultaneous);
  hash = mix(hash, (uint64_t)estimate->passes);
  hash = mix(hash, estimate->simultaneous ? (uint64_t)settings->batch : 0);
  hash = mix(hash, settings->method == METHOD_EMA ? bits_of(settings->momentum) : 0);
  hash = mix(hash, settings->sample_variance);
  hash = mix(hash, bits_of(settings->scale));
  for (int i = 0; i < settings->mean.count; i++) hash = mix(hash, bits_of(settings->mean.numbers[i]));
  for (int i = 0; i < settings->std.count; i++) hash = mix(hash, bits_of(settings->std.numbers[i]));
  for (size_t i = 0; i < estimate->study->count; i++) hash = mix(hash, estimate->study->nodes[i].chosen);
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

static void put_node(FILE *file, const node_estimate *node, size_t index) {
  put(file, index);
  put(file, (uint64_t)node->channels);
  put(file, node->done);
  put(file, bits_of(node->count));
  put_doubles(file, node->mean, node->channels);
  put_doubles(file, node->variance, node->channels);
  put(file, node->moments.samples);
  for (int i = 0; i < MOMENTS_LEVELS; i++) {
    const moments_group *group = &node->moments.levels[i];
    if (!(node->moments.samples >> i & 1)) continue;
    put(file, bits_of(group->count));
    put_doubles(file, group->mean, node->channels);
    put_doubles(file, group->squares, node->channels);
  }
}

static void put_all(FILE *file, const bn_estimate *estimate) {
  size_t chosen = 0;
  for (size_t i = 0; i < estimate->study->count; i++) chosen += estimate->study->nodes[i].chosen;
  fwrite(MAGIC, 1, 8, file);
  put(file, VERSION);
  put(file, estimate->fingerprint);
  put(file, settings_fingerprint(estimate));
  put(file, (uint64_t)estimate->samples);
  put(file, (uint64_t)estimate->pass);
  put(file, (uint64_t)estimate->next);
  put(file, estimate->whole);
  put(file, chosen);
  for (size_t i = 0; i < estimate->study->count; i++) {
    if (estimate->study->nodes[i].chosen) put_node(file, &estimate->nodes[i], i);
  }
}

bool bn_moments_write(const bn_estimate *estimate, const char *path) {
  char *bytes = NULL;
  size_t size = 0;
  norma_error error;
  whole_file file;
  FILE *stream = open_memstream(&bytes, &size);
  if (stream) put_all(stream, estimate);
  if (!stream || fclose(stream) != 0) {
    free(bytes);
    tool_error("out of memory");
    return false;
  }
  uint64_t sum = checksum(bytes, size);
  norma_status status = whole_file_begin(&file, &estimate->runtime->memory, path, estimate->study->source.path, &error);
  if (status == NORMA_OK) {
    whole_file_write(&file, bytes, size);
    whole_file_write(&file, &sum, sizeof sum);
    status = whole_file_commit(&file, &error);
  }
  free(bytes);
  if (status != NORMA_OK) tool_error("%s", error.message);
  return status == NORMA_OK;
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

static bool take_group(moments_reader *reader, moments *moments, double *vectors) {
  norma_error error;
  double count = take_double(reader);
  take_doubles(reader, vectors, 2 * moments->channels);
  if (reader->failed || !(count > 0)) return damaged(reader);
  if (moments_add_group(moments, count, vectors, vectors + moments->channels, &error) == NORMA_OK) return true;
  tool_error("%s", error.message);
  return false;
}

/* Groups come back to the levels they had: the largest first, as bits of the counter. */
static bool take_levels(moments_reader *reader, moments *moments, uint64_t samples, double *vectors) {
  moments_group groups[MOMENTS_LEVELS] = {{0}};
  bool good = samples >> (MOMENTS_LEVELS - 1) == 0;
  moments->samples = 0;
  for (int i = 0; good && i < MOMENTS_LEVELS; i++) {
    if (!(samples >> i & 1)) continue;
    good = take_group(reader, moments, vectors); /* lands on level 0, which is then moved where it belongs */
    if (!good) break;
    groups[i] = moments->levels[0];
    moments->levels[0] = (moments_group){0};
    moments->samples = 0;
  }
  for (int i = 0; i < MOMENTS_LEVELS; i++) {
    if (!groups[i].mean) continue;
    if (moments->levels[i].mean) memory_free(moments->memory, moments->levels[i].mean);
    moments->levels[i] = groups[i];
  }
  if (good) moments->samples = samples;
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
  bool good = true, done = take(reader) != 0;
  double count = take_double(reader);
  take_doubles(reader, vectors, 2 * node->channels);
  if (!merge && !reader->failed) {
    node->done = done;
    node->count = count;
    memcpy(node->mean, vectors, (size_t)node->channels * 2 * sizeof *vectors);
  }
  uint64_t samples = take(reader);
  if (merge) {
    for (int i = 0; good && i < MOMENTS_LEVELS; i++) {
      if (samples >> i & 1) good = take_group(reader, &node->moments, vectors);
    }
  } else {
    good = take_levels(reader, &node->moments, samples, vectors);
  }
  free(vectors);
  if (good && reader->failed) good = damaged(reader);
  return good;
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
    tool_error("%s: belongs to another model than %s", reader->path, estimate->study->source.path);
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
  for (size_t i = 0; i < estimate->study->count; i++) chosen += estimate->study->nodes[i].chosen;
  if (count != chosen || pass > (uint64_t)estimate->passes + 1) return damaged(reader);
  estimate->pass = (int)pass;
  if (!merge) {
    estimate->next = (int64_t)next;
    estimate->whole = whole != 0;
  }
  estimate->samples = merge ? estimate->samples + (int64_t)samples : (int64_t)samples;
  for (size_t i = 0; i < estimate->study->count; i++) {
    if (estimate->study->nodes[i].chosen && !take_node(reader, estimate, i, merge)) return false;
  }
  return reader->left == 0 || damaged(reader);
}

static bool read_file(bn_estimate *estimate, const char *path, bool merge) {
  void *bytes;
  size_t size;
  norma_error error;
  uint64_t sum;
  if (file_read(&estimate->runtime->memory, path, &bytes, &size, &error) != NORMA_OK) {
    tool_error("%s", error.message);
    return false;
  }
  moments_reader reader = {path, bytes, size < 8 ? 0 : size - 8, false};
  bool good = size >= 16 && size % 8 == 0;
  if (good) memcpy(&sum, (char *)bytes + size - 8, 8);
  good = good && sum == checksum(bytes, size - 8);
  if (good) {
    good = take_all(&reader, estimate, merge);
  } else {
    damaged(&reader);
  }
  memory_free(&estimate->runtime->memory, bytes);
  return good;
}

bool bn_moments_read(bn_estimate *estimate, const char *path) {
  return read_file(estimate, path, false);
}

bool bn_moments_merge(bn_estimate *estimate, const char *path) {
  return read_file(estimate, path, true);
}
