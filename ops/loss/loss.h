/*
 * What the losses of classification have in common: scores [N, C, d1 .. dk] or [N, C], labels [N, d1 .. dk], a weight
 * for each class, labels that are ignored, and the reduction to one number.
 *
 * Losses are computed in units that depend on the sizes alone; each leaves its sums, which are added in order.
 */
#ifndef OPS_LOSS_LOSS_H
#define OPS_LOSS_LOSS_H

#include "ops/operator.h"

enum loss_reduction { LOSS_MEAN, LOSS_SUM, LOSS_NONE };

typedef struct loss_state {
  enum loss_reduction reduction;
  bool ignores;
  int64_t ignored;

  /* The plan's: scores as samples x classes x inner, and how they are cut. */
  norma_element_type type;
  int64_t samples, classes, inner;
  int64_t width, strips; /* elements of `inner` in a unit; units of a sample */
  int64_t lines;         /* samples in a unit, where inner is 1 */
  int64_t units;
} loss_state;

typedef struct loss_sums {
  double loss, weight;
} loss_sums;

/* What a body works on. */
typedef struct loss_job {
  run_context *context;
  const loss_state *state;
  const norma_tensor *scores, *labels, *weights; /* weights may be NULL */
  norma_tensor *output;                          /* of losses; NULL: not wanted, or reduced */
  loss_sums *sums;                               /* of each unit */
} loss_job;

norma_status loss_read(const node *node, loss_state *state, norma_error *error);
/* Output 0, after checking the shapes. */
norma_status loss_infer(infer_context *context, const loss_state *state);
/* Sizes, and the cut in units of about `elements` scores, at most `width` wide; asks for scratch for the sums. */
norma_status loss_prepare(prepare_context *context, loss_state *state, int64_t elements, int64_t width);

/* Refuses labels that are no class, and fills in the job. */
norma_status loss_begin(run_context *context, const loss_state *state, loss_job *job);
/* Writes the reduced loss. */
void loss_finish(const loss_job *job);

static inline bool loss_is_ignored(const loss_state *state, int64_t label) {
  return state->ignores && label == state->ignored;
}

static inline int64_t loss_label(const norma_tensor *labels, int64_t index) {
  return labels->type == NORMA_INT64 ? ((const int64_t *)labels->data)[index] : ((const int32_t *)labels->data)[index];
}

/* Takes the loss of `label`, which is element `index` of the labels. */
static inline void loss_take(const loss_job *job, int64_t index, int64_t label, double loss, loss_sums *sums) {
  const norma_element_type type = job->state->type;
  double weight = 1;
  if (loss_is_ignored(job->state, label)) {
    weight = loss = 0;
  } else if (job->weights) {
    weight = type == NORMA_FLOAT ? (double)((const float *)job->weights->data)[label]
                                 : element_get_double(type, job->weights->data, label);
    loss *= weight;
  }
  sums->loss += loss;
  sums->weight += weight;
  if (!job->output) return;
  if (type == NORMA_FLOAT)
    ((float *)job->output->data)[index] = (float)loss;
  else
    element_set_double(type, job->output->data, index, loss);
}

extern const operator_attribute loss_attributes[];

#endif
