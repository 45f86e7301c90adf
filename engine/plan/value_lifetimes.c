#include "engine/plan/value_lifetimes.h"

#include "engine/plan/arena_layout.h"

#include <limits.h>

/* -------------------------------------------------------------------------------------------------------- lifetimes */

typedef struct capture_use {
  plan *plan;
  int step;
} capture_use;

static bool extend_captures(void *context, graph *subgraph) {
  capture_use *use = context;
  plan *plan = use->plan;
  for (int i = 0; i < subgraph->capture_count; i++) {
    int index = plan_find_slot(plan, subgraph->captures[i]);
    if (index >= 0 && plan->slots[index].last < use->step) plan->slots[index].last = use->step;
  }
  return true;
}

static void find_last_reads(plan *plan, const plan_request *request) {
  for (int s = 0; s < plan->step_count; s++) {
    const step *step = &plan->steps[s];
    for (int i = 0; i < step->node->input_count; i++) {
      if (step->inputs[i] >= 0) plan->slots[step->inputs[i]].last = s;
    }
    for (int i = 0; i < step->node->output_count; i++) {
      if (step->outputs[i] >= 0 && plan->slots[step->outputs[i]].last < s) plan->slots[step->outputs[i]].last = s;
    }
    capture_use use = {plan, s};
    node_visit_subgraphs(step->node, extend_captures, &use);
  }
  for (int i = 0; i < plan->graph->output_count; i++) plan->slots[plan->outputs[i]].last = INT_MAX;
  for (int i = 0; i < plan->slot_count; i++) {
    if (plan_request_watches(request, plan->slots[i].value)) plan->slots[i].last = INT_MAX;
  }
}

/* ----------------------------------------------------------------------------------------------- views and in place */

/* What is known of a slot while slots become aliases of each other. */
typedef struct alias {
  int writer;      /* of any slot: the slot whose step wrote what it holds; itself, or that of the input of a view */
  int last_writer; /* of a root: the last slot that was written there */
  int overwritten; /* of a root: the step at which something else is written over its first contents; INT_MAX: none */
} alias;

static bool same_size(const value_info *a, const value_info *b) {
  return value_info_bytes(a) == value_info_bytes(b);
}

static void alias_memory(plan *plan, int output, int root) {
  plan->slots[output].root = root;
  if (plan->slots[root].last < plan->slots[output].last) plan->slots[root].last = plan->slots[output].last;
}

/* A view shares the memory of its input, whatever that is; but results of the model, which outlive the run, must not
 * point into the caller's input or the model. Those of a subgraph are copied or shared by whoever runs it. */
static bool try_view(plan *plan, step *step, alias *aliases) {
  if (!(step->node->op->flags & OPERATOR_VIEW) || step->inputs[0] < 0 || step->outputs[0] < 0) return false;
  for (int i = 1; i < step->node->output_count; i++) {
    if (step->outputs[i] >= 0) return false;
  }
  const slot *input = &plan->slots[step->inputs[0]], *output = &plan->slots[step->outputs[0]];
  if (output->kind != SLOT_ARENA || !same_size(&input->info, &output->info)) return false;
  if (input->kind == SLOT_DYNAMIC) return false; /* its memory goes when it is released */
  if (input->kind != SLOT_ARENA && output->last == INT_MAX && !plan->graph->parent) return false;
  alias_memory(plan, step->outputs[0], input->root);
  aliases[step->outputs[0]].writer = aliases[step->inputs[0]].writer;
  step->skipped = true;
  return true;
}

static void try_in_place(plan *plan, const step *step, int s, alias *aliases) {
  if (!step->node->op->in_place || step->node->output_count == 0 || step->outputs[0] < 0) return;
  for (int i = 0; i < step->node->input_count; i++) {
    bool allowed = i < 32 && (step->node->op->in_place & INPUT(i)) && step->inputs[i] >= 0;
    if (!allowed) continue;
    const slot *input = &plan->slots[step->inputs[i]];
    const slot *root = &plan->slots[input->root];
    if (input->kind != SLOT_ARENA || root->kind != SLOT_ARENA || root->last != s) continue;
    if (!same_size(&input->info, &plan->slots[step->outputs[0]].info) || !same_size(&input->info, &root->info))
      continue;
    bool read_twice = false;
    for (int j = 0; j < step->node->input_count; j++) {
      if (j != i && step->inputs[j] >= 0 && plan->slots[step->inputs[j]].root == input->root) read_twice = true;
    }
    if (read_twice) continue;
    alias_memory(plan, step->outputs[0], input->root);
    aliases[input->root].last_writer = step->outputs[0];
    if (s < aliases[input->root].overwritten) aliases[input->root].overwritten = s;
    return;
  }
}

static void find_aliases(plan *plan, alias *aliases) {
  for (int i = 0; i < plan->slot_count; i++) aliases[i] = (alias){i, i, INT_MAX};
  for (int s = 0; s < plan->step_count; s++) {
    step *step = &plan->steps[s];
    if (step->late || step->node->output_count == 0 || step->node->input_count == 0) continue;
    if (step->outputs[0] < 0 || plan->slots[step->outputs[0]].kind != SLOT_ARENA) continue;
    if (!try_view(plan, step, aliases)) try_in_place(plan, step, s, aliases);
  }
}

/* ------------------------------------------------------------------------------------------- concatenation in place */

/* An input that was written this many steps before the concatenation would keep the whole output alive for too long. */
#define MOST_STEPS_TO_CONCATENATION 64
/* Of the parts, in bytes: a vector of AVX2. */
#define PART_ALIGNMENT 32

/* Whether the inputs of the step lie one behind another in its output: all dimensions before the concatenated one are
 * 1. */
static bool concatenates_whole_inputs(const plan *plan, const step *step) {
  const shape *output = &plan->slots[step->outputs[0]].info.shape;
  double bytes = 0;
  for (int i = 0; i < step->node->input_count; i++) {
    if (step->inputs[i] < 0) return false;
    const shape *input = &plan->slots[step->inputs[i]].info.shape;
    if (input->rank != output->rank) return false;
    int axis = 0;
    while (axis < input->rank && input->dims[axis] == output->dims[axis]) {
      if (output->dims[axis] != 1) return false;
      axis++;
    }
    if (axis == input->rank) return false; /* the only one, or beside empty ones */
    bytes += value_info_bytes(&plan->slots[step->inputs[i]].info);
  }
  return bytes == value_info_bytes(&plan->slots[step->outputs[0]].info); /* not where elements are parts of bytes */
}

/* Part of `offset` of the memory of root `parent`, if nobody else writes there while it is read. */
static void try_alias_part(plan *plan, int input, int parent, size_t offset, int s, alias *aliases) {
  const int root = plan->slots[input].root;
  slot *own = &plan->slots[root];
  const alias *parent_alias = &aliases[parent];
  if (plan->slots[input].kind != SLOT_ARENA || own->kind != SLOT_ARENA || own->parent >= 0 || root == parent) return;
  if (!same_size(&plan->slots[input].info, &own->info)) return;
  if (aliases[root].last_writer != aliases[input].writer) return; /* its contents go before the concatenation */
  if (own->last == INT_MAX || own->last >= parent_alias->overwritten || s - own->first > MOST_STEPS_TO_CONCATENATION)
    return;
  const slot *top = &plan->slots[parent];
  own->parent = top->parent >= 0 ? top->parent : parent;
  own->parent_offset = (top->parent >= 0 ? top->parent_offset : 0) + offset;
  if (parent_alias->overwritten < aliases[root].overwritten) aliases[root].overwritten = parent_alias->overwritten;
}

/* From the last step to the first, so that parts of an output find where that one has gone. */
static bool alias_parts(plan *plan, alias *aliases) {
  bool found = false;
  for (int s = plan->step_count - 1; s >= 0; s--) {
    const step *step = &plan->steps[s];
    if (step->late || !(step->node->op->flags & OPERATOR_CONCATENATES) || step->outputs[0] < 0) continue;
    const int parent = step->outputs[0];
    if (plan->slots[parent].kind != SLOT_ARENA || plan->slots[parent].root != parent) continue;
    if (!concatenates_whole_inputs(plan, step)) continue;
    size_t offset = 0;
    for (int i = 0; i < step->node->input_count; i++) {
      const slot *input = &plan->slots[step->inputs[i]];
      if (offset % PART_ALIGNMENT == 0) try_alias_part(plan, step->inputs[i], parent, offset, s, aliases);
      found |= plan->slots[input->root].parent >= 0;
      offset += (size_t)value_info_bytes(&input->info);
    }
  }
  return found;
}

static void separate_slots(plan *plan) {
  for (int i = 0; i < plan->slot_count; i++) plan->slots[i].parent = -1;
}

static norma_status list_releases(plan *plan, norma_error *error) {
  for (int i = 0; i < plan->slot_count; i++) {
    const slot *slot = &plan->slots[i];
    if (slot->kind == SLOT_DYNAMIC && slot->last != INT_MAX) plan->steps[slot->last].release_count++;
  }
  for (int s = 0; s < plan->step_count; s++) {
    step *step = &plan->steps[s];
    step->releases = region_array(&plan->region, (size_t)step->release_count, sizeof(int));
    if (!step->releases) return region_error(&plan->region, error);
    step->release_count = 0;
  }
  for (int i = 0; i < plan->slot_count; i++) {
    const slot *slot = &plan->slots[i];
    if (slot->kind != SLOT_DYNAMIC || slot->last == INT_MAX) continue;
    step *step = &plan->steps[slot->last];
    step->releases[step->release_count++] = i;
  }
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- places */

/* Blocks of memory to be placed, and where their offsets go. */
typedef struct placement {
  arena_block *blocks;
  size_t **offsets;
  int *block_of_slot;
  size_t count;
} placement;

static void add_block(placement *placement, size_t bytes, int first, int last, size_t *offset) {
  placement->offsets[placement->count] = offset;
  placement->blocks[placement->count++] = (arena_block){.bytes = bytes, .first = first, .last = last};
}

static norma_status add_slots(placement *placement, plan *plan, norma_error *error) {
  for (int i = 0; i < plan->slot_count; i++) {
    slot *slot = &plan->slots[i];
    if (slot->kind != SLOT_ARENA || slot->root != i || slot->parent >= 0) continue;
    size_t bytes = 0;
    if (norma_tensor_size(slot->info.type, slot->info.shape.rank, slot->info.shape.dims, &bytes) != NORMA_OK) {
      char text[200];
      return error_set(error, NORMA_ERROR_BUDGET, "value '%s' of shape %s is too large", slot->value->name,
                       shape_text(&slot->info.shape, text, sizeof text));
    }
    placement->block_of_slot[i] = (int)placement->count;
    add_block(placement, bytes ? bytes : 1, slot->first, slot->last, &slot->offset);
  }
  for (int i = 0; i < plan->slot_count; i++) {
    const slot *slot = &plan->slots[i];
    if (slot->kind != SLOT_ARENA || slot->root != i || slot->parent < 0) continue;
    arena_block *parent = &placement->blocks[placement->block_of_slot[slot->parent]];
    if (slot->first < parent->first) parent->first = slot->first;
    if (slot->last > parent->last) parent->last = slot->last;
  }
  return NORMA_OK;
}

static void add_scratch(placement *placement, plan *plan, size_t workers) {
  for (int s = 0; s < plan->step_count; s++) {
    step *step = &plan->steps[s];
    if (step->scratch_bytes) add_block(placement, step->scratch_bytes, s, s, &step->scratch_offset);
    if (!step->worker_scratch_stride) continue;
    add_block(placement, step->worker_scratch_stride * workers, s, s, &step->worker_scratch_offset);
  }
}

static norma_status place_slots(plan *plan, size_t workers, norma_error *error) {
  const size_t capacity = (size_t)plan->slot_count + 2 * (size_t)plan->step_count;
  const size_t bytes = capacity * (sizeof(arena_block) + sizeof(size_t *)) + (size_t)plan->slot_count * sizeof(int);
  placement placement = {.blocks = memory_allocate(plan->memory, bytes)};
  if (!placement.blocks) return memory_error(plan->memory, bytes, error);
  placement.offsets = (void *)(placement.blocks + capacity);
  placement.block_of_slot = (void *)(placement.offsets + capacity);
  norma_status status = add_slots(&placement, plan, error);
  if (status == NORMA_OK) {
    add_scratch(&placement, plan, workers);
    status = arena_layout_place(plan->memory, placement.blocks, placement.count, &plan->arena_bytes, error);
  }
  for (size_t i = 0; status == NORMA_OK && i < placement.count; i++) *placement.offsets[i] = placement.blocks[i].offset;
  memory_free(plan->memory, placement.blocks);
  return status;
}

/* In place where that takes no more memory than to copy. */
norma_status plan_arrange(plan *plan, const plan_request *request, norma_error *error) {
  const size_t workers = (size_t)request->executor->workers, bytes = (size_t)plan->slot_count * sizeof(alias);
  alias *aliases = memory_allocate(plan->memory, bytes);
  if (!aliases) return memory_error(plan->memory, bytes, error);
  separate_slots(plan);
  find_last_reads(plan, request);
  find_aliases(plan, aliases);
  norma_status status = list_releases(plan, error);
  if (status == NORMA_OK) status = place_slots(plan, workers, error);
  if (status == NORMA_OK && alias_parts(plan, aliases)) {
    const size_t separate = plan->arena_bytes;
    status = place_slots(plan, workers, error);
    if (status == NORMA_OK && plan->arena_bytes > separate) {
      separate_slots(plan);
      status = place_slots(plan, workers, error);
    }
  }
  memory_free(plan->memory, aliases);
  return status;
}
