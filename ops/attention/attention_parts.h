/* What the two ways to compute attention share: which rows and keys a unit of work has, and how they are read. */
#ifndef OPS_ATTENTION_ATTENTION_PARTS_H
#define OPS_ATTENTION_ATTENTION_PARTS_H

#include "ops/attention/attention_core.h"

#define ATTENTION_MOST_ROWS 64

typedef struct attention_job {
  run_context *context;
  const attention_plan *plan;
  const attention_call *call;
  bool appends; /* each unit stores its part of the present */
} attention_job;

/* Rows of a unit: of one sample and key head, counted over the query heads that share it. */
typedef struct attention_unit {
  int64_t sample, key_head;
  int64_t row, rows;
  int64_t from[ATTENTION_MOST_ROWS], to[ATTENTION_MOST_ROWS]; /* keys that each row sees */
  int64_t least_from, most_from; /* of rows that see any key; INT64_MAX and 0 where none does */
  int64_t least_to, most_to;     /* least_to is 0 where a row sees none */
} attention_unit;

int64_t attention_unit_count(const attention_plan *plan);
attention_unit attention_unit_of(const attention_job *job, int64_t index);

/* Rows of a unit that are neighbours in one query head, from row `row` of the unit on. */
typedef struct attention_span {
  int64_t head, query, rows;
} attention_span;

static inline attention_span attention_span_of(const attention_plan *plan, const attention_unit *unit, int64_t row) {
  int64_t query = (unit->row + row) % plan->queries, rows = plan->queries - query, rest = unit->rows - row;
  int64_t head = unit->key_head * (plan->query_heads / plan->key_heads) + (unit->row + row) / plan->queries;
  return (attention_span){head, query, rows < rest ? rows : rest};
}

static inline int64_t attention_offset(const attention_operand *operand, int64_t sample, int64_t head, int64_t row) {
  int64_t at = sample * operand->batch_stride + head * operand->head_stride + row * operand->row_stride;
  return at * (int64_t)element_type_bytes(operand->type);
}

static inline const void *attention_source(const attention_operand *operand, int64_t sample, int64_t head,
                                           int64_t row) {
  return (const char *)operand->data + attention_offset(operand, sample, head, row);
}

static inline void *attention_target(const attention_operand *operand, int64_t sample, int64_t head, int64_t row) {
  return (char *)operand->target + attention_offset(operand, sample, head, row);
}

/* A part of keys or values, which comes from the past and from the new ones. */
typedef struct attention_range {
  const attention_operand *past, *now;
  int64_t sample, head;
  int64_t begin, end; /* keys */
  int64_t elements;   /* of a row */
} attention_range;

attention_range attention_keys_of(const attention_job *job, const attention_unit *unit, int64_t begin, int64_t end);
attention_range attention_values_of(const attention_job *job, const attention_unit *unit, int64_t begin, int64_t end);

/* The one operand that all rows come from, *row of it being the first; NULL where there are two. */
const attention_operand *attention_range_source(const attention_job *job, const attention_range *range, int64_t *row);
/* Copies rows, one behind the other, converted to `type`, or as they are where that is their type. */
void attention_range_copy(const attention_job *job, const attention_range *range, norma_element_type type,
                          void *target);

/* Rows row .. row + rows - 1 of a head of an operand to and from an array of rows, converted between types of float. */
void attention_read_rows(const struct kernel_table *kernels, const attention_operand *from, int64_t sample,
                         int64_t head, int64_t row, int64_t rows, int64_t elements, norma_element_type type,
                         void *target);
void attention_write_rows(const struct kernel_table *kernels, const attention_operand *to, int64_t sample, int64_t head,
                          int64_t row, int64_t rows, int64_t elements, norma_element_type type, const void *source);

/* All rows of a unit: of queries, and to results. */
void attention_read_queries(const attention_job *job, const attention_unit *unit, norma_element_type type,
                            void *target);
void attention_write_results(const attention_job *job, const attention_unit *unit, norma_element_type type,
                             const void *source);

/* The sum of all biases of a row for keys begin .. end - 1. */
void attention_bias_row(const attention_job *job, int64_t sample, int64_t head, int64_t query, int64_t begin,
                        int64_t end, float *row);
void attention_bias_row_f64(const attention_job *job, int64_t sample, int64_t head, int64_t query, int64_t begin,
                            int64_t end, double *row);
static inline bool attention_has_bias(const attention_call *call) {
  return call->bias[0].data || call->bias[1].data;
}

/* The way that has all scores of a block of rows at a time. */
norma_status attention_prepare_rows(prepare_context *context, attention_plan *plan);
void attention_run_rows(void *argument, int64_t begin, int64_t end, int worker);

#endif
