import { z } from 'zod';
import 'zod-openapi';

const model = z.object({ id: z.string(), dimension: z.number().int() });
export const modelsSchema = z
  .object({
    active: model.optional().meta({ description: 'Whose frames are searched; absent before a worker has had a model' }),
    next: model
      .optional()
      .meta({ description: 'What workers have: another than `active` while a change of models is under way' }),
  })
  .meta({ id: 'Models' });
export const switchModelSchema = z
  .strictObject({
    force: z.boolean().optional().meta({
      description: 'Also where videos of yours are not indexed with it: they are not found by their pictures then',
    }),
  })
  .optional()
  .meta({ id: 'ModelSwitch' });
export const switchedSchema = z
  .object({ active: model, previous: model.optional().meta({ description: 'Absent where nothing had to be changed' }) })
  .meta({ id: 'ModelSwitched' });
export const prunedSchema = z
  .object({ dropped: z.number().int().meta({ description: 'Models whose frames were removed' }) })
  .meta({ id: 'ModelsPruned' });
