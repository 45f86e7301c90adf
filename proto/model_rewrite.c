#include "proto/model_rewrite.h"

#include "engine/execute/runtime.h"
#include "engine/base/status.h"
#include "proto/model_parts.h"
#include "proto/model_save.h"
#include "proto/model_writer.h"
#include "proto/wire_check.h"

#include <string.h>

/* Three forms of the model: the file, and what the writer makes of both graphs. A field of the last two that has the
 * same bytes stands for the same thing, which then keeps the bytes that it has in the file. */
typedef struct rewrite {
  memory *memory;
  region region;
  void *file_bytes, *before_bytes, *after_bytes;
  model_parts file, before, after;
  name_table used;                           /* names that the changed graph reads or gives out */
  name_table file_names[2], before_names[2]; /* name -> part; [0] nodes, [1] initializers */
  rewrite_counts counts;
  interruption *interruption; /* NULL: nothing ends it early */
  unsigned polls;
  norma_error *error;
} rewrite;

static norma_status rewrite_no_memory(rewrite *work) {
  return region_error(&work->region, work->error);
}

static norma_status rewrite_read_source(rewrite *work, const norma_model *model, const byte_source *source) {
  wire_skeleton skeleton = {0};
  const wire_limits limits = {model->runtime->max_nodes, model->runtime->max_depth, work->interruption};
  byte_source reading = *source;
  reading.interruption = work->interruption;
  const size_t size = (size_t)source->size;
  work->file_bytes = memory_allocate(work->memory, size);
  if (!work->file_bytes) return memory_error(work->memory, size, work->error);
  TRY(byte_source_read(&reading, 0, work->file_bytes, size, work->error));
  const byte_source copy = byte_source_from_memory(work->file_bytes, size);
  norma_status status = wire_check(&copy, WIRE_MODEL, &limits, work->memory, &skeleton, work->error);
  memory_free(work->memory, skeleton.bytes);
  if (status != NORMA_OK) return status;
  TRY(model_parts_read(&work->file, &work->region, (wire_span){work->file_bytes, size}, work->error));
  work->file.interruption = work->interruption;
  return NORMA_OK;
}

static norma_status write_form(rewrite *work, const norma_model *model, void **bytes, model_parts *parts) {
  size_t size;
  TRY(model_write_memory(model, work->interruption, bytes, &size, work->error));
  return model_parts_read(parts, &work->region, (wire_span){*bytes, size}, work->error);
}

/* Finds parts by name; of several of one name the first. */
static norma_status rewrite_index_parts(rewrite *work, const model_parts *parts, name_table names[2]) {
  static const uint32_t numbers[2] = {GRAPH_NODE, GRAPH_INITIALIZER};
  for (size_t i = 0; i < parts->count; i++) {
    graph_part *part = &parts->parts[i];
    for (int kind = 0; kind < 2; kind++) {
      uint32_t number = part->field.number == GRAPH_SPARSE_INITIALIZER ? GRAPH_INITIALIZER : part->field.number;
      if (number != numbers[kind] || part->name[0] == '\0') continue;
      bool added;
      name_entry *entry = name_table_add(&names[kind], part->name, &added);
      if (!entry) return rewrite_no_memory(work);
      if (added) entry->item = part;
    }
  }
  return NORMA_OK;
}

static graph_part *find(const name_table *names, const char *name) {
  const name_entry *entry = name_table_find(names, name);
  return entry ? entry->item : NULL;
}

/* Whether both are nodes of one operator: a call of a function has the results of the nodes that stand in its place,
 * and not their operators, since functions do not call themselves. */
static bool is_same_operator(wire_span node, wire_span other) {
  static const uint32_t numbers[] = {NODE_OP_TYPE, NODE_DOMAIN, NODE_OVERLOAD};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    wire_span texts[2] = {wire_find(node, numbers[i]), wire_find(other, numbers[i])};
    for (int k = 0; k < 2; k++) {
      if (numbers[i] == NODE_DOMAIN && span_equals(texts[k], "ai.onnx")) texts[k].size = 0;
    }
    if (texts[0].size != texts[1].size) return false;
    if (texts[0].size > 0 && memcmp(texts[0].bytes, texts[1].bytes, texts[0].size) != 0) return false;
  }
  return true;
}

/* What the file has for a part of the changed graph, if that is as it was; else NULL. */
static graph_part *find_kept(const rewrite *work, const graph_part *part, int kind) {
  const graph_part *old = find(&work->before_names[kind], part->name);
  if (!old || old->contents.size != part->contents.size ||
      (part->contents.size > 0 && memcmp(old->contents.bytes, part->contents.bytes, part->contents.size) != 0)) {
    return NULL;
  }
  graph_part *kept = find(&work->file_names[kind], part->name);
  return kept && kind == 0 && !is_same_operator(kept->contents, part->contents) ? NULL : kept;
}

/* Nodes in the order of the changed graph. */
static norma_status rewrite_nodes(rewrite *work) {
  size_t old = 0;
  for (size_t i = 0; i < work->file.count; i++) {
    if (work->file.parts[i].field.number != GRAPH_NODE) continue;
    work->file.parts[i].dropped = true;
    old++;
  }
  for (size_t i = 0; i < work->after.count; i++) {
    const graph_part *part = &work->after.parts[i];
    if (part->field.number != GRAPH_NODE) continue;
    TRY(interruption_poll_often(work->interruption, &work->polls, work->error));
    const graph_part *kept = find_kept(work, part, 0);
    TRY(model_parts_add(&work->file, GRAPH_NODE, kept ? kept->contents : part->contents, work->error));
    *(kept ? &work->counts.kept : &work->counts.changed) += 1;
  }
  size_t now = work->counts.kept + work->counts.changed;
  work->counts.removed = old > now ? old - now : 0;
  return NORMA_OK;
}

static bool is_used(const rewrite *work, const char *name) {
  return name_table_find(&work->used, name) != NULL;
}

static norma_tensor rewrite_describe(const wire_span tensor) {
  norma_tensor result = {.type = (norma_element_type)wire_find_int(tensor, TENSOR_DATA_TYPE, 0)};
  wire_span rest = tensor;
  wire_part part;
  while (wire_next(&rest, &part)) { /* as the writer makes it: one number per field */
    if (part.number != TENSOR_DIMS || part.is_length || result.rank == NORMA_MAX_RANK) continue;
    result.dims[result.rank++] = (int64_t)part.value;
  }
  return result;
}

static norma_status add_initializer(rewrite *work, const graph_part *part) {
  TRY(model_parts_add(&work->file, GRAPH_INITIALIZER, part->contents, work->error));
  if (work->file.ir_version >= 4 || model_parts_find(&work->file, GRAPH_INPUT, part->name)) return NORMA_OK;
  norma_tensor about = rewrite_describe(part->contents);
  return model_parts_add(&work->file, GRAPH_INPUT, make_value_info_message(&work->region, part->name, &about),
                         work->error);
}

static norma_status rewrite_initializers(rewrite *work) {
  name_table kept;
  norma_status status = NORMA_OK;
  name_table_init(&kept, work->memory);
  for (size_t i = 0; i < work->after.count && status == NORMA_OK; i++) {
    const graph_part *part = &work->after.parts[i];
    if (part->field.number != GRAPH_INITIALIZER || !is_used(work, part->name)) continue;
    bool added;
    status = interruption_poll(work->interruption, work->error);
    if (status != NORMA_OK) break;
    if (!find_kept(work, part, 1)) {
      status = add_initializer(work, part);
    } else if (!name_table_add(&kept, part->name, &added)) {
      status = rewrite_no_memory(work);
    }
  }
  for (size_t i = 0; i < work->file.count; i++) {
    graph_part *part = &work->file.parts[i];
    uint32_t number = part->field.number;
    bool is_tensor = number == GRAPH_INITIALIZER || number == GRAPH_SPARSE_INITIALIZER;
    if (is_tensor && !name_table_find(&kept, part->name)) part->dropped = true;
  }
  name_table_free(&kept);
  return status;
}

/* An input that only declares an initializer goes with it; hints go with their values. */
static norma_status drop_rest(rewrite *work) {
  name_table known;
  name_table_init(&known, work->memory);
  norma_status status =
      collect_names(work->after.graph, &work->region, &known, true) ? NORMA_OK : rewrite_no_memory(work);
  for (size_t i = 0; i < work->file.count && status == NORMA_OK; i++) {
    graph_part *part = &work->file.parts[i];
    uint32_t number = part->field.number;
    bool is_initializer = find(&work->file_names[1], part->name) != NULL;
    if (number == GRAPH_INPUT && is_initializer && !is_used(work, part->name)) part->dropped = true;
    bool is_hint = number == GRAPH_VALUE_INFO || number == GRAPH_ANNOTATION;
    if (is_hint && !name_table_find(&known, part->name)) part->dropped = true;
  }
  name_table_free(&known);
  return status;
}

static norma_status run(rewrite *work, const norma_model *before, const norma_model *after, const byte_source *source) {
  TRY(rewrite_read_source(work, after, source));
  TRY(write_form(work, before, &work->before_bytes, &work->before));
  TRY(write_form(work, after, &work->after_bytes, &work->after));
  TRY(rewrite_index_parts(work, &work->file, work->file_names));
  TRY(rewrite_index_parts(work, &work->before, work->before_names));
  if (!collect_names(work->after.graph, &work->region, &work->used, false)) return rewrite_no_memory(work);
  TRY(rewrite_nodes(work));
  TRY(drop_rest(work));
  return rewrite_initializers(work);
}

static void rewrite_init(rewrite *work, memory *memory, interruption *interruption, norma_error *error) {
  *work = (rewrite){.memory = memory, .interruption = interruption, .error = error};
  region_init(&work->region, memory);
  name_table_init(&work->used, memory);
  for (int i = 0; i < 2; i++) {
    name_table_init(&work->file_names[i], memory);
    name_table_init(&work->before_names[i], memory);
  }
}

static void rewrite_free(rewrite *work) {
  for (int i = 0; i < 2; i++) {
    name_table_free(&work->file_names[i]);
    name_table_free(&work->before_names[i]);
  }
  name_table_free(&work->used);
  memory_free(work->memory, work->file_bytes);
  memory_free(work->memory, work->before_bytes);
  memory_free(work->memory, work->after_bytes);
  region_free(&work->region);
}

norma_status model_rewrite(const norma_model *before, const norma_model *after, const char *source, const char *path,
                           interruption *interruption, rewrite_counts *counts, norma_error *error) {
  norma_error unwanted;
  rewrite work;
  byte_source bytes;
  rewrite_init(&work, after->memory, interruption, error ? error : &unwanted);
  norma_status status = byte_source_open(&bytes, work.memory, source, false, work.error);
  if (status == NORMA_OK) {
    status = run(&work, before, after, &bytes);
    byte_source_close(&bytes);
  }
  if (status == NORMA_OK) status = model_parts_save(&work.file, source, path, work.error);
  if (status == NORMA_OK && counts) *counts = work.counts;
  rewrite_free(&work);
  return status;
}

norma_status model_rewrite_memory(const norma_model *before, const norma_model *after, const void *data, size_t size,
                                  write_bytes write, void *context, interruption *interruption, rewrite_counts *counts,
                                  norma_error *error) {
  norma_error unwanted;
  rewrite work;
  rewrite_init(&work, after->memory, interruption, error ? error : &unwanted);
  const byte_source bytes = byte_source_from_memory(data, size);
  norma_status status = run(&work, before, after, &bytes);
  if (status == NORMA_OK) status = model_parts_write(&work.file, write, context, work.error);
  if (status == NORMA_OK && counts) *counts = work.counts;
  rewrite_free(&work);
  return status;
}
