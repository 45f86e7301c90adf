#include "tools/profile_report.h"

#include "tools/bench/machine_limits.h"
#include "tools/formats/json.h"
#include "tools/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One line of a table. */
typedef struct profile_row {
  const char *name, *op_type, *kernel;
  size_t nodes;
  double seconds, flops, bytes; /* of one run */
} profile_row;

static int longest_first(const void *a, const void *b) {
  const profile_row *left = a, *right = b;
  return left->seconds > right->seconds ? -1 : left->seconds < right->seconds;
}

bool profile_shortest_note(profile_shortest *shortest, const norma_session *session) {
  size_t count = norma_session_profile_count(session);
  if (!shortest->ns) {
    shortest->ns = calloc(count + 1, sizeof *shortest->ns);
    shortest->count = count;
  }
  if (!shortest->ns || shortest->count != count) return false;
  for (size_t i = 0; i < count; i++) {
    norma_profile_entry entry;
    if (norma_session_profile(session, i, &entry) != NORMA_OK || entry.runs == 0) continue;
    if (shortest->ns[i] == 0 || entry.last_ns < shortest->ns[i]) shortest->ns[i] = entry.last_ns;
  }
  return true;
}

void profile_shortest_free(profile_shortest *shortest) {
  free(shortest->ns);
  *shortest = (profile_shortest){NULL, 0, 0};
}

static size_t collect_rows(const norma_session *session, const profile_shortest *shortest, profile_row *rows) {
  size_t count = norma_session_profile_count(session), used = 0;
  for (size_t i = 0; i < count; i++) {
    norma_profile_entry entry;
    if (norma_session_profile(session, i, &entry) != NORMA_OK || entry.runs == 0) continue;
    double ns = (double)entry.total_ns / (double)entry.runs;
    if (shortest && i < shortest->count) ns = (double)shortest->ns[i];
    rows[used++] = (profile_row){.name = entry.node,
                                 .op_type = entry.op_type,
                                 .kernel = entry.kernel,
                                 .nodes = 1,
                                 .seconds = ns * 1e-9,
                                 .flops = entry.flops,
                                 .bytes = entry.bytes};
  }
  return used;
}

static const char *kernel_of(const profile_row *row) {
  return row->kernel ? row->kernel : "";
}

/* Sums rows of one operator and algorithm into `sums`, which has room for all. */
static size_t sum_by_operator(const profile_row *rows, size_t count, profile_row *sums) {
  size_t used = 0;
  for (size_t i = 0; i < count; i++) {
    size_t at = 0;
    while (at < used &&
           (strcmp(sums[at].op_type, rows[i].op_type) != 0 || strcmp(kernel_of(&sums[at]), kernel_of(&rows[i])) != 0)) {
      at++;
    }
    if (at == used) sums[used++] = (profile_row){.op_type = rows[i].op_type, .kernel = rows[i].kernel};
    sums[at].nodes++;
    sums[at].seconds += rows[i].seconds;
    sums[at].flops += rows[i].flops;
    sums[at].bytes += rows[i].bytes;
  }
  return used;
}

/* What a table compares with. */
typedef struct profile_scale {
  double seconds; /* of all nodes together */
  double peak;    /* floating-point operations per second, 0: not known */
  double memory;  /* bytes per second from memory, 0: not known */
} profile_scale;

static void print_rate(FILE *file, double amount, double seconds) {
  if (amount > 0 && seconds > 0) {
    fprintf(file, " %8.2f", amount / seconds * 1e-9);
  } else {
    fprintf(file, " %8s", "-");
  }
}

static void print_part(FILE *file, double amount, double seconds, double peak) {
  if (amount > 0 && seconds > 0 && peak > 0) {
    fprintf(file, " %5.1f%%", amount / seconds / peak * 100);
  } else {
    fprintf(file, " %6s", "-");
  }
}

/* Time, part of the whole, arithmetic and its part of the peak, memory and its part of the peak. */
static void print_figures(FILE *file, const profile_row *row, const profile_scale *scale) {
  fprintf(file, "%10.4f %5.1f%%", row->seconds * 1e3, scale->seconds > 0 ? row->seconds / scale->seconds * 100 : 0);
  print_rate(file, row->flops, row->seconds);
  print_part(file, row->flops, row->seconds, scale->peak);
  fprintf(file, " %8.2f", row->bytes * 1e-6);
  print_rate(file, row->bytes, row->seconds);
  if (scale->memory > 0) print_part(file, row->bytes, row->seconds, scale->memory);
}

/* What stands above the figures. */
static void print_heads(FILE *file, const profile_scale *scale) {
  fprintf(file, "%10s %6s %8s %6s %8s %8s", "ms", "time", "GFLOP/s", "peak", "MB", "GB/s");
  if (scale->memory > 0) fprintf(file, " %6s", "memory");
}

static void print_node(FILE *file, const profile_row *row, const profile_scale *scale) {
  char op_type[64];
  print_figures(file, row, scale);
  fprintf(file, "  %-20s ", printable(row->op_type, op_type, sizeof op_type));
  print_text(file, row->name);
  if (kernel_of(row)[0]) fprintf(file, " (%s)", row->kernel);
  fputc('\n', file);
}

static void print_operator(FILE *file, const profile_row *row, const profile_scale *scale) {
  print_figures(file, row, scale);
  fprintf(file, " %6zu  ", row->nodes);
  print_text(file, row->op_type);
  if (kernel_of(row)[0]) fprintf(file, " (%s)", row->kernel);
  fputc('\n', file);
}

static profile_row sum_of_rows(const profile_row *rows, size_t count) {
  profile_row sum = {.op_type = "all"};
  for (size_t i = 0; i < count; i++) {
    sum.nodes++;
    sum.seconds += rows[i].seconds;
    sum.flops += rows[i].flops;
    sum.bytes += rows[i].bytes;
  }
  return sum;
}

static void print_notes(FILE *file, const norma_runtime *runtime, const profile_shortest *shortest,
                        const profile_scale *scale) {
  const int threads = norma_runtime_threads(runtime);
  if (scale->peak > 0) {
    fprintf(file, "\nThe peak is %.1f GFLOP/s: multiply-adds of %s on %d thread%s, measured now.\n", scale->peak * 1e-9,
            norma_runtime_kernels(runtime), threads, threads == 1 ? "" : "s");
  }
  if (scale->memory > 0) {
    fprintf(file, "Memory is read at %.1f GB/s; what is in a cache comes faster.\n", scale->memory * 1e-9);
  }
  if (shortest && shortest->run_seconds > 0) {
    fprintf(file, "The nodes take %.4f ms together, the shortest run %.4f ms.\n", scale->seconds * 1e3,
            shortest->run_seconds * 1e3);
  }
}

void profile_print(FILE *file, const norma_runtime *runtime, const norma_session *session,
                   const profile_shortest *shortest) {
  size_t room = norma_session_profile_count(session);
  profile_row *rows = calloc(room + 1, sizeof *rows), *sums = calloc(room + 1, sizeof *sums);
  if (!rows || !sums) {
    tool_warning("no memory for the profile");
    goto done;
  }
  size_t count = collect_rows(session, shortest, rows), operators = sum_by_operator(rows, count, sums);
  profile_row all = sum_of_rows(rows, count);
  const int threads = norma_runtime_threads(runtime);
  profile_scale scale = {.seconds = all.seconds, .peak = limits_multiply_add(norma_runtime_kernels(runtime), threads)};
  if (shortest) scale.memory = limits_read(threads);
  qsort(rows, count, sizeof *rows, longest_first);
  qsort(sums, operators, sizeof *sums, longest_first);
  fprintf(file, "\nby node%s\n", shortest ? ", shortest times" : "");
  print_heads(file, &scale);
  fprintf(file, "  %-20s node\n", "operator");
  for (size_t i = 0; i < count; i++) print_node(file, &rows[i], &scale);
  fprintf(file, "\nby operator\n");
  print_heads(file, &scale);
  fprintf(file, " %6s  operator\n", "nodes");
  for (size_t i = 0; i < operators; i++) print_operator(file, &sums[i], &scale);
  print_operator(file, &all, &scale);
  print_notes(file, runtime, shortest, &scale);

done:
  free(rows);
  free(sums);
}

void profile_write_trace(FILE *file, const norma_session *session, const char *model) {
  json_writer json;
  size_t count = norma_session_profile_count(session);
  json_start(&json, file, false);
  json_object(&json, NULL);
  json_string(&json, "displayTimeUnit", "ns");
  json_object(&json, "otherData");
  json_string(&json, "model", model);
  json_string(&json, "norma", norma_version());
  json_end_object(&json);
  json_array(&json, "traceEvents");
  for (size_t i = 0; i < count; i++) {
    norma_profile_entry entry;
    if (norma_session_profile(session, i, &entry) != NORMA_OK || entry.runs == 0) continue;
    json_object(&json, NULL);
    json_string(&json, "name", entry.node);
    json_string(&json, "cat", entry.op_type);
    json_string(&json, "ph", "X");
    json_number(&json, "ts", (double)entry.start_ns * 1e-3);
    json_number(&json, "dur", (double)entry.last_ns * 1e-3);
    json_integer(&json, "pid", 1);
    json_integer(&json, "tid", 1);
    json_object(&json, "args");
    json_string(&json, "operator", entry.op_type);
    if (entry.kernel && entry.kernel[0]) json_string(&json, "kernel", entry.kernel);
    json_number(&json, "flops", entry.flops);
    json_number(&json, "bytes", entry.bytes);
    json_end_object(&json);
    json_end_object(&json);
  }
  json_end_array(&json);
  json_end_object(&json);
}
