/*
 * The contract of an operator.
 *
 * An operator is one const descriptor, up to four functions, and what it tells the optimiser about itself
 * (ops/facts.h). Adding one takes one file below ops/ and one test: NAME.c exports `const operator_descriptor
 * operators_NAME[]`, ended by an entry without a name; CMake collects the files.
 *
 *   read     once per node at load: attributes -> state. Refuses values that can never be right.
 *   infer    types and shapes of outputs, from what is known of the inputs. Called at load (dimensions may be unknown),
 *            when a plan is made (input shapes known), and, where shapes depend on data, during the run (all values
 *            known). It must be a pure function that tolerates unknown ranks, dimensions and values.
 *   prepare  with all input shapes known, once when weights are packed (operators that pack) and once per plan: packs
 *            constants, chooses the kernel, asks for scratch. Other plans for which it would do the same may copy the
 *            state, so that holds no pointer into itself or to what the context describes.
 *   compute  fills the outputs. Reads no attributes, allocates nothing (but outputs whose shape only it knows).
 */
#ifndef OPS_OPERATOR_H
#define OPS_OPERATOR_H

#include "engine/base/status.h"
#include "engine/base/tensor.h"
#include "engine/graph/graph.h"
#include "ops/facts.h"
#include "ops/kernels/kernel_table.h"

typedef struct operator_descriptor operator_descriptor;
typedef struct infer_context infer_context;
typedef struct prepare_context prepare_context;
typedef struct run_context run_context;

#define OPERATOR_INNER_DOMAIN "norma" /* of operators that only passes make */
#define OPERATOR_MAX_VERSIONS 16
#define OPERATOR_VARIADIC     INT32_MAX
#define OPERATOR_LATEST       0

enum operator_flags {
  OPERATOR_VIEW = 1,         /* output 0 has the elements of input 0 in the same order (Reshape, Identity) */
  OPERATOR_RANDOM = 2,       /* never folded: draws numbers */
  OPERATOR_SUBGRAPHS = 4,    /* runs graphs; outer values that these use count as inputs */
  OPERATOR_SHAPE_ONLY = 8,   /* of its inputs only types and shapes count (Shape, Size) */
  OPERATOR_CONCATENATES = 16 /* output 0 is the inputs side by side along one axis; one may lie there already */
};

/* An attribute that versions `since` to `until` (OPERATOR_LATEST: all later ones) know. */
typedef struct operator_attribute {
  const char *name; /* NULL ends the list */
  attribute_kind kind;
  int since, until;
  bool required;
} operator_attribute;

/* Inputs and outputs (bit i for index i; the last input of a variadic operator stands for all that follow) that share
 * one element type out of `types`. Outputs are checked after infer. Those in no rule may have any type. */
typedef struct type_rule {
  type_mask types; /* 0 ends the list */
  uint32_t inputs, outputs;
} type_rule;

#define OPERATOR_MOST_RULES 8

#define INPUT(i)  ((uint32_t)1 << (i))
#define OUTPUT(i) ((uint32_t)1 << (i))

struct operator_descriptor {
  const char *domain; /* "" for ai.onnx */
  const char *name;
  int versions[OPERATOR_MAX_VERSIONS]; /* every since-version that is implemented, rising, ended by 0 */
  int min_inputs, max_inputs;          /* max: the most of any version, or OPERATOR_VARIADIC */
  uint32_t absent_inputs; /* may be absent though others follow (Loop); else only inputs from min_inputs on may be, and
                             none of a variadic operator */
  int min_outputs, max_outputs;
  type_rule types[OPERATOR_MOST_RULES];
  const operator_attribute *attributes; /* ended by a NULL name; NULL: none */
  uint32_t flags;
  operator_facts facts;
  uint32_t in_place; /* inputs whose memory output 0 may take over when nobody else needs it and sizes are equal */
  size_t state_size;
  norma_status (*read)(const node *node, void *state, norma_error *error); /* NULL: nothing to read; state is zeroed */
  norma_status (*infer)(infer_context *context);
  norma_status (*prepare)(prepare_context *context); /* NULL: nothing to prepare */
  norma_status (*compute)(run_context *context);
  const void *custom; /* of operators registered from outside */
};

/* Visits all built-in descriptors; NULL past the end. */
const operator_descriptor *operator_at(size_t index);
/* The since-version in force at `opset`; 0 if the operator is not implemented there. */
int operator_version(const operator_descriptor *op, int64_t opset);

/* Whether inputs of these descriptions (NULL where absent) satisfy the operator's type rules. Descriptions of unknown
 * kind or element type do. An input that a rule names must be a tensor. */
typedef struct type_conflict {
  int input;
  bool is_kind;                /* no tensor */
  norma_element_type expected; /* what an earlier input has; UNDEFINED: the type is not among the rule's */
} type_conflict;
bool operator_accepts(const operator_descriptor *op, int input_count, const value_info *const *inputs,
                      type_conflict *conflict);
/* Whether the rule is for that input; the last input of a variadic operator stands for all that follow. */
bool operator_rule_names_input(const operator_descriptor *op, const type_rule *rule, int index);

/* ------------------------------------------------------------------------------------------------------------ infer */

struct infer_context {
  const node *node;
  const void *state;
  int input_count, output_count;
  const value_info *const *inputs; /* NULL where absent */
  const value *const *values;      /* what is known of the inputs' contents; entries NULL */
  value_info *outputs;             /* to be set; kind NONE and rank unknown before */
  norma_tensor *known;       /* contents of outputs that types and shapes alone tell; data NULL where they do not */
  region *region;            /* for items of sequence types and known contents */
  struct inferrer *inferrer; /* for infer_subgraph */
  norma_status failure;      /* what infer_fail returns: INVALID_MODEL at load, INPUT while planning, RUN in a run */
  norma_error *error;
};

/* Element type of input `index`; UNDEFINED when absent or not known. */
norma_element_type infer_type(const infer_context *context, int index);
/* Shape of input `index`; of unknown rank when absent or not known. */
const shape *infer_shape(const infer_context *context, int index);
bool infer_has_input(const infer_context *context, int index);
/* The contents of input `index` if they are known, else NULL. */
const norma_tensor *infer_value(const infer_context *context, int index);
/* Known integer contents of input `index` into values[0 .. count - 1]; false if they are not known. More than
 * `capacity` elements, or a tensor that is not of rank 0 or 1, fail through *status. */
bool infer_ints(infer_context *context, int index, int64_t *values, int capacity, int *count, norma_status *status);
void infer_output(infer_context *context, int index, norma_element_type type, const shape *shape);
void infer_output_info(infer_context *context, int index, const value_info *info);
/* The contents of int64 output `index`, known already (Shape, Size): `count` values, or a scalar when rank is 0. Sets
 * type and shape too. At most NORMA_MAX_RANK values. */
norma_status infer_output_ints(infer_context *context, int index, const int64_t *values, int count, int rank);
/* `return infer_fail(context, "axis %d is outside ...")`; see failure above. */
norma_status infer_fail(infer_context *context, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Output 0 has type and shape of input 0. */
norma_status infer_same(infer_context *context);
/* Output 0 has the type of input 0 and the broadcast shape of all inputs. */
norma_status infer_broadcast(infer_context *context);
/* Infers the types of a subgraph's outputs for these inputs: outputs[0 .. graph->output_count - 1]. */
norma_status infer_subgraph(infer_context *context, const graph *subgraph, const value_info *inputs, int input_count,
                            value_info *outputs);

/* ---------------------------------------------------------------------------------------------------------- prepare */

struct prepare_context {
  const node *node;
  void *state; /* this plan's copy of the node's state */
  int input_count, output_count;
  const value_info *const *inputs;  /* shapes known; NULL where absent */
  const value *const *constants;    /* contents that never change; entries NULL */
  const value_info *const *outputs; /* NULL where absent; shapes may be unknown */
  const struct kernel_table *kernels;
  int workers;
  bool exact;
  /* To be set: */
  size_t scratch_bytes;        /* one block for the whole step */
  size_t worker_scratch_bytes; /* one block per worker */
  uint32_t packed_inputs;   /* constants that compute reads no more, having packed them: their data may be given back */
  uint32_t packed_for_good; /* those of packed_inputs that no batch needs in another form */
  const char *kernel_name;  /* for profiles; a string literal */
  double flops;
  struct packed_constants *packed; /* behind prepare_packed */
  /* Behind prepare_read, while a model is loaded: reads what is still in its file, false for all else; else NULL. */
  bool (*read_lazy)(struct prepare_context *context, const value *constant, int64_t first, int64_t count,
                    const void **data, norma_status *status);
  struct lazy_source *lazy;
  struct interruption *interruption; /* behind prepare_poll; NULL: nothing ends it early */
  norma_error *error;
};

const norma_tensor *prepare_constant(const prepare_context *context, int index); /* NULL if not constant */
const shape *prepare_shape(const prepare_context *context, int index); /* of input; unknown rank when absent */
norma_element_type prepare_type(const prepare_context *context, int index);
norma_status prepare_fail(prepare_context *context, norma_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* CANCELLED or DEADLINE when the load or plan has to end, else OK: for long work, between pieces of some milliseconds.
 * prepare_read asks by itself. */
norma_status prepare_poll(prepare_context *context);

#define PREPARE_PIECE_BYTES (256 << 10) /* a good size for pieces of constants: they stay in the cache */

/* Elements first .. first + count - 1 of constant `index`, in its own element type (of at least 8 bits), valid until
 * the next call. While a model is loaded the contents of inputs among facts.weights come from its file, so they should
 * be read once, in pieces, and of weights whole output channels. */
norma_status prepare_read(prepare_context *context, int index, int64_t first, int64_t count, const void **data);

/* Whether the model fixes all dimensions of input `index` but the first, so that other batches differ in that alone. */
bool prepare_sample_is_fixed(const prepare_context *context, int index);

/* Memory that is filled once per model, shared by all plans and sessions, and lives as long as the model. `key` tells
 * apart what one node packs (which operand, which algorithm). fill(destination, argument) is called at most once per
 * key unless it fails. The node's descriptor names the constants concerned in facts.packs. */
norma_status prepare_packed(prepare_context *context, uint64_t key, size_t bytes,
                            void (*fill)(void *destination, const void *argument), const void *argument,
                            const void **packed);
/* The same where filling can fail; then nothing is kept. */
typedef norma_status (*prepare_fill)(prepare_context *context, void *destination, const void *argument);
norma_status prepare_packed_from(prepare_context *context, uint64_t key, size_t bytes, prepare_fill fill,
                                 const void *argument, const void **packed);

/* -------------------------------------------------------------------------------------------------------------- run */

typedef void (*parallel_body)(void *argument, int64_t begin, int64_t end, int worker);

struct run_context {
  const node *node;
  const void *state;
  int input_count, output_count;
  const value *const *inputs; /* NULL where absent */
  value *const *outputs;      /* NULL where absent or not wanted; kind TENSOR with data where the shape was known */
  void *scratch;              /* scratch_bytes, aligned to 64 */
  char *worker_scratch;       /* see run_worker_scratch */
  size_t worker_scratch_stride;
  const struct kernel_table *kernels;
  struct executor *executor;     /* threads, memory, cancellation, subgraphs */
  struct temporary *temporaries; /* of run_allocate_temporary */
  norma_error *error;
};

/* The tensor of input or output `index`; NULL where absent. */
static inline const norma_tensor *run_input(const run_context *context, int index) {
  return index < context->input_count && context->inputs[index] ? &context->inputs[index]->tensor : NULL;
}
static inline norma_tensor *run_output(const run_context *context, int index) {
  return index < context->output_count && context->outputs[index] ? &context->outputs[index]->tensor : NULL;
}
static inline void *run_worker_scratch(const run_context *context, int worker) {
  return context->worker_scratch + context->worker_scratch_stride * (size_t)worker;
}

/* Calls body on ranges that cover 0 .. count - 1, each of at most `grain` and of exactly `grain` but the last, on any
 * worker; a small count stays on this thread. Which worker gets which range is not defined, so results must not depend
 * on it. Between ranges the run can be cancelled: then the rest is left out and the status says so. A body whose range
 * may take longer than some milliseconds asks run_cancelled and returns early. */
norma_status run_parallel(run_context *context, int64_t count, int64_t grain, parallel_body body, void *argument);

/* The same with ranges of any length, for units of work that do less when neighbours are done in one call. */
norma_status run_parallel_units(run_context *context, int64_t count, parallel_body body, void *argument);
bool run_cancelled(const run_context *context);
/* The same as a status: CANCELLED or DEADLINE when the run has to end, else OK. */
norma_status run_poll(const run_context *context);
norma_status run_fail(run_context *context, norma_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A line to the log of the run, with the node's name in front: for results that are right but may surprise. */
void run_warn(run_context *context, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Makes output `index`, whose shape was not inferred. NULL shape data on failure; the error is set. An output that is
 * not wanted must not be asked for. */
norma_status run_allocate_output(run_context *context, int index, norma_element_type type, const shape *shape,
                                 norma_tensor **tensor);
/* A string output of `count` strings with `bytes` bytes of characters; see value_allocate_strings. */
norma_status run_allocate_strings(run_context *context, int index, const shape *shape, size_t bytes, char **characters,
                                  norma_tensor **tensor);
/* Output `index` becomes a container of `count` NONE elements, to be filled by run_set_element. */
norma_status run_allocate_list(run_context *context, int index, norma_value_kind kind, int64_t count);
norma_status run_set_element(run_context *context, int index, int64_t element, const value *contents);
/* Element `element` of output `index` becomes a map of these keys and values, tensors of as many elements: shared where
 * they are owned, copied where they are borrowed. */
norma_status run_set_map(run_context *context, int index, int64_t element, const value *keys, const value *values);
/* A tensor that owns its memory and belongs to the caller, who clears it: for elements of containers, which share
 * it. */
norma_status run_create_tensor(run_context *context, norma_element_type type, const shape *shape, value *made);
/* Output `index` becomes `contents`: shared where that is owned, copied where it is borrowed. */
norma_status run_set_output(run_context *context, int index, const value *contents);
/* Memory for the duration of a compute whose need only the data tell; freed by the engine after the step. */
norma_status run_allocate_temporary(run_context *context, size_t bytes, void **block);

/* Runs a subgraph: `inputs` for its inputs (borrowed during the call); outputs[i] become owned values that the caller
 * clears. On failure all outputs are NONE. */
norma_status run_subgraph(run_context *context, const graph *subgraph, const value *const *inputs, int input_count,
                          value *outputs, int output_count);
/* What inference tells of all outputs of a subgraph for these inputs, without a run; where they do not fit it, what the
 * model tells of its outputs for any. Items are valid until the next call for the same subgraph. */
norma_status run_infer_subgraph(run_context *context, const graph *subgraph, const value *const *inputs,
                                int input_count, value_info *outputs);

#endif
