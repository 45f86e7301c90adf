#include "ops/registry.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct registry_slot {
  const operator_descriptor *op; /* NULL: the slot is free */
  atomic_bool is_used;
} registry_slot;

/* Open addressing; at most half of the slots are taken. */
struct operator_registry {
  memory *memory;
  pthread_rwlock_t lock;
  registry_slot *slots;
  size_t slot_count, count; /* slot_count is a power of two */
};

#define FIRST_SLOTS 1024

_Static_assert(FIRST_SLOTS * sizeof(registry_slot) <= OPERATOR_REGISTRY_BYTES, "as it is told");

/* FNV-1a over domain and name. */
static size_t operator_hash(const char *domain, const char *name) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (; *domain; domain++) hash = (hash ^ (unsigned char)*domain) * 0x100000001B3u;
  hash = (hash ^ ':') * 0x100000001B3u;
  for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 0x100000001B3u;
  return (size_t)(hash ^ hash >> 32);
}

/* The slot where the operator stands or would stand. */
static registry_slot *operator_slot(const operator_registry *registry, const char *domain, const char *name) {
  size_t mask = registry->slot_count - 1, at = operator_hash(domain, name) & mask;
  const operator_descriptor *op;
  while ((op = registry->slots[at].op) && (strcmp(op->name, name) != 0 || strcmp(op->domain, domain) != 0)) {
    at = (at + 1) & mask;
  }
  return &registry->slots[at];
}

static bool registry_grow(operator_registry *registry) {
  operator_registry grown = *registry;
  grown.slot_count = registry->slot_count ? registry->slot_count * 2 : FIRST_SLOTS;
  grown.slots = memory_allocate_zeroed(registry->memory, grown.slot_count * sizeof *grown.slots);
  if (!grown.slots) return false;
  for (size_t i = 0; i < registry->slot_count; i++) {
    const registry_slot *old = &registry->slots[i];
    if (!old->op) continue;
    registry_slot *slot = operator_slot(&grown, old->op->domain, old->op->name);
    slot->op = old->op;
    atomic_init(&slot->is_used, old->is_used);
  }
  memory_free(registry->memory, registry->slots);
  registry->slots = grown.slots;
  registry->slot_count = grown.slot_count;
  return true;
}

static bool registry_put(operator_registry *registry, const operator_descriptor *op) {
  if (registry->count * 2 >= registry->slot_count && !registry_grow(registry)) return false;
  registry_slot *slot = operator_slot(registry, op->domain, op->name);
  if (!slot->op) registry->count++;
  slot->op = op;
  return true;
}

operator_registry *operator_registry_create(memory *memory) {
  operator_registry *registry = memory_allocate_zeroed(memory, sizeof *registry);
  if (!registry) return NULL;
  registry->memory = memory;
  pthread_rwlock_init(&registry->lock, NULL);
  const operator_descriptor *op;
  for (size_t i = 0; (op = operator_at(i)); i++) {
    if (registry_put(registry, op)) continue;
    operator_registry_destroy(registry);
    return NULL;
  }
  return registry;
}

void operator_registry_destroy(operator_registry *registry) {
  if (!registry) return;
  pthread_rwlock_destroy(&registry->lock);
  memory_free(registry->memory, registry->slots);
  memory_free(registry->memory, registry);
}

norma_status operator_registry_add(operator_registry *registry, const operator_descriptor *op, norma_error *error) {
  pthread_rwlock_wrlock(&registry->lock);
  bool added = registry_put(registry, op);
  pthread_rwlock_unlock(&registry->lock);
  return added ? NORMA_OK : memory_error(registry->memory, registry->slot_count * 2 * sizeof *registry->slots, error);
}

const operator_descriptor *operator_registry_find(operator_registry *registry, const char *domain, const char *name) {
  pthread_rwlock_rdlock(&registry->lock);
  const operator_descriptor *op = operator_slot(registry, domain, name)->op;
  pthread_rwlock_unlock(&registry->lock);
  return op;
}

const operator_descriptor *operator_registry_use(operator_registry *registry, const char *domain, const char *name) {
  pthread_rwlock_rdlock(&registry->lock);
  registry_slot *slot = operator_slot(registry, domain, name);
  const operator_descriptor *op = slot->op;
  if (op) atomic_store_explicit(&slot->is_used, true, memory_order_relaxed);
  pthread_rwlock_unlock(&registry->lock);
  return op;
}

bool operator_registry_uses(operator_registry *registry, const operator_descriptor *op) {
  pthread_rwlock_rdlock(&registry->lock);
  const registry_slot *slot = operator_slot(registry, op->domain, op->name);
  const bool is_used = slot->op == op && atomic_load_explicit(&slot->is_used, memory_order_relaxed);
  pthread_rwlock_unlock(&registry->lock);
  return is_used;
}

/* ---------------------------------------------------------------------------------------------------------- resolve */

/* An absent input is for operators that declare it: behind the required ones, and not where any number may follow. */
static bool may_be_absent(const operator_descriptor *op, int index) {
  if (index < 32 && (op->absent_inputs & INPUT(index))) return true;
  return index >= op->min_inputs && (op->custom || op->max_inputs != OPERATOR_VARIADIC);
}

/* Inputs of the epilogue, which the operator does not count, stand last. */
static int own_inputs(const node *node) {
  int count = node->input_count;
  if (node->epilogue.bias_input && node->epilogue.bias_input < count) count = node->epilogue.bias_input;
  if (node->epilogue.residual_input && node->epilogue.residual_input < count) count = node->epilogue.residual_input;
  return count;
}

static norma_status check_arity(const node *node, norma_error *error) {
  const operator_descriptor *op = node->op;
  int count = own_inputs(node), given = count;
  while (given > 0 && !node->inputs[given - 1]) given--;
  if (given < op->min_inputs || given > op->max_inputs) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %d inputs, expected %d to %d", given,
                         op->min_inputs, op->max_inputs);
  }
  for (int i = 0; i < count; i++) {
    if (!node->inputs[i] && !may_be_absent(op, i)) {
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "input %d is absent, but %s needs it", i,
                           node->op_type);
    }
  }
  if (node->output_count < op->min_outputs || node->output_count > op->max_outputs) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %d outputs, expected %d to %d",
                         node->output_count, op->min_outputs, op->max_outputs);
  }
  return NORMA_OK;
}

static bool is_in_force(const operator_attribute *declared, int version) {
  return declared->since <= version && (!declared->until || version <= declared->until);
}

static const operator_attribute *find_declaration(const node *node, const char *name) {
  const operator_attribute *declared = node->op->attributes;
  for (; declared && declared->name; declared++) {
    if (is_in_force(declared, node->version) && strcmp(declared->name, name) == 0) return declared;
  }
  return NULL;
}

static norma_status check_attributes(const node *node, norma_error *error) {
  if (node->op->custom) return NORMA_OK; /* their attributes are their own affair */
  for (int i = 0; i < node->attribute_count; i++) {
    const attribute *attribute = &node->attributes[i];
    const operator_attribute *declared = find_declaration(node, attribute->name);
    if (!declared) {
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has no attribute '%s' in version %d of %s",
                           attribute->name, node->version, node->op_type);
    }
    if (declared->kind != attribute->kind) {
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "attribute '%s' has kind %d, expected %d",
                           attribute->name, (int)attribute->kind, (int)declared->kind);
    }
  }
  const operator_attribute *declared = node->op->attributes;
  for (; declared && declared->name; declared++) {
    if (is_in_force(declared, node->version) && declared->required && !node_attribute(node, declared->name)) {
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "lacks the attribute '%s'", declared->name);
    }
  }
  return NORMA_OK;
}

norma_status operator_resolve(operator_registry *registry, node *node, const char **reason, norma_error *error) {
  *reason = NULL;
  const operator_descriptor *op = operator_registry_use(registry, node->domain, node->op_type);
  if (!op) {
    *reason = "operator not known to this build";
    return NORMA_OK;
  }
  node->version = operator_version(op, node->opset);
  if (node->version == 0) {
    *reason = "operator not supported at this opset version";
    return NORMA_OK;
  }
  node->op = op;
  TRY(check_arity(node, error));
  TRY(check_attributes(node, error));
  node->state = region_allocate(node->graph->region, op->state_size);
  if (!node->state) return region_error(node->graph->region, error);
  if (!op->read) return NORMA_OK;
  norma_status status = op->read(node, node->state, error);
  if (status == NORMA_OK || status == NORMA_ERROR_UNSUPPORTED) return status;
  error_add_node(error, node);
  return status;
}
