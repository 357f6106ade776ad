/**
 * What is asked for in one word may be said in another: numbers in digits and in words, British and American words and spellings, and words that stand for
 * each other nearly everywhere. Not what merely belongs together ("boat", "ship"): a passage that says the other word has what was asked for. English only.
 */
const SAME = [
  'mother mum mom mummy, father dad daddy, child kid, grandmother grandma granny, grandfather grandpa grandad, baby infant, guest visitor, customer client',
  'doctor physician, lawyer attorney solicitor, student pupil, boss supervisor, policeman cop, job occupation profession, salary wage, hire employ',
  'buy purchase, cost price, begin start commence, end finish, shut close, reply answer respond, injure hurt wound, rescue save, repair fix mend',
  'build construct, choose select pick, forbid ban prohibit, allow permit, reject refuse decline, assist help, attempt try, quarrel argue, depart leave',
  'error mistake, accident crash, disease illness sickness, medicine medication, exam examination, homework assignment, gap hole',
  'ill sick, angry furious, happy glad, afraid scared frightened, smart clever, wealthy rich, fast quick rapid, big large, small little',
  'film movie, photo picture photograph, car automobile, bicycle bike, plane airplane aeroplane, phone telephone, mobile cellphone, television tv telly',
  'fridge refrigerator, sofa couch, flat apartment, lift elevator, shop store, rubbish garbage trash, holiday vacation, football soccer, math maths mathematics',
  'trousers pants, biscuit cookie, sweets candy, aubergine eggplant, courgette zucchini, prawn shrimp, motorway highway freeway, pavement sidewalk, tap faucet',
  'colour color, favourite favorite, neighbour neighbor, harbour harbor, honour honor, labour labor, flavour flavor, behaviour behavior, humour humor',
  'centre center, theatre theater, metre meter, litre liter, kilometre kilometer km, grey gray, programme program, defence defense, licence license',
  'organise organize, realise realize, recognise recognize, analyse analyze, apologise apologize, travelling traveling, cancelled canceled, aluminium aluminum',
]
  .join(', ')
  .split(', ')
  .map((words) => words.split(' '));

export const NUMBER_WORDS: readonly [word: string, number: number][] = [
  ...'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty'
    .split(' ')
    .map((word, i): [string, number] => [word, i]),
  ...'thirty forty fifty sixty seventy eighty ninety'
    .split(' ')
    .map((word, i): [string, number] => [word, 10 * (i + 3)]),
];
/** From the first on. */
export const ORDINALS: readonly string[] =
  'first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth'.split(
    ' ',
  );

/** Words of one meaning, in groups; none is in two. */
export const SAME_WORDS: readonly string[][] = [
  ...SAME,
  ...NUMBER_WORDS.map(([word, number]) => [word, `${number}`]),
  ...ORDINALS.map((word, i) => [word, `${i + 1}${['st', 'nd', 'rd'][i] ?? 'th'}`]),
];
