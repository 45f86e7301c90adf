/* What the parts of fourier_run share. */
#ifndef OPS_SIGNAL_FOURIER_PARTS_H
#define OPS_SIGNAL_FOURIER_PARTS_H

#include "ops/signal/fourier.h"

typedef struct fourier_work {
  run_context *context;
  const fourier *fourier;
  const fourier_job *job;
  const void *tables; /* of float or double */
} fourier_work;

/* Signals that are too long for lanes, one after the other. */
norma_status fourier_run_squares(const fourier_work *work);

#endif
