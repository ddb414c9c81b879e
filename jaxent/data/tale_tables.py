"""The words of the tales: characters, places, wants, obstacles and turns of phrase, all our own.

Templates are `str.format` patterns. `{a}` is the hero and `{b}` the other character, with the
attributes of `tales.Person`; `{place}`, `{thing}`, `{goal}`, `{stuff}` and `{weather}` are phrases.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Errand:
    thing: str
    goal: str
    reason: str
    arrival: str


@dataclasses.dataclass(frozen=True)
class Obstacle:
    name: str
    problem: str
    attempt: str
    advice: str
    solution: str


@dataclasses.dataclass(frozen=True)
class Work:
    thing: str
    stuff: str
    purpose: str
    labour: str
    result: str


@dataclasses.dataclass(frozen=True)
class Trouble:
    name: str
    event: str
    comfort: str
    remedy: str


@dataclasses.dataclass(frozen=True)
class Cause:
    thing: str
    event: str
    peace: str


@dataclasses.dataclass(frozen=True)
class Repair:
    name: str
    deed: str


@dataclasses.dataclass(frozen=True)
class NoiseSource:
    name: str
    found: str
    after: str


_GIRLS = [
    "Anya",
    "Bettina",
    "Cora",
    "Delia",
    "Edda",
    "Fern",
    "Greta",
    "Hilda",
    "Ilse",
    "Jory",
    "Linnea",
    "Mabel",
    "Nell",
    "Oona",
    "Petra",
    "Runa",
    "Sable",
    "Tilda",
    "Una",
    "Wren",
]
_BOYS = [
    "Anselm",
    "Bram",
    "Caspar",
    "Dov",
    "Emil",
    "Finn",
    "Gideon",
    "Hob",
    "Isak",
    "Jasper",
    "Kit",
    "Lorcan",
    "Milo",
    "Ned",
    "Oswin",
    "Piers",
    "Rufus",
    "Silas",
    "Tobias",
    "Wim",
]
NAMES = [(name, True) for name in _GIRLS] + [(name, False) for name in _BOYS]
KINDS = (
    "young baker",
    "fisher",
    "shepherd",
    "bell ringer",
    "clockmaker",
    "gardener",
    "fox",
    "badger",
    "small grey mouse",
    "weaver",
    "ferry keeper",
    "postman's child",
    "beekeeper",
    "old sailor",
    "tinker",
    "hedgehog",
    "lamplighter",
    "goose keeper",
    "potter",
    "carpenter",
    "otter",
    "crow with one white feather",
    "schoolteacher",
    "miller",
)
PLACES = (
    "in a village under the hill",
    "in a house by the salt marsh",
    "in a narrow street behind the harbor",
    "in a valley where the snow stayed late",
    "on an island with one road",
    "in a town of red roofs",
    "in a clearing deep in the birch wood",
    "in a mill at the bend of the river",
    "in a lighthouse at the edge of the cliffs",
    "in an old orchard outside the walls",
    "in a cottage between two lakes",
    "in a crooked house beside the canal",
)
WEATHER = (
    "wet",
    "windy",
    "bright",
    "frosty",
    "foggy",
    "warm",
    "grey",
    "snowy",
    "golden",
    "stormy",
    "quiet",
    "cold",
)
OPENINGS = (
    "Once there was {a.a_kind} named {a.name}, who lived {place}.",
    "{Place} lived {a.name}, {a.a_kind}.",
    "{a.name} was {a.a_kind}, and {a.he} lived {place}.",
    "It was a {weather} morning {place}, and {a.name}, {a.a_kind}, was already awake.",
    "One {weather} day, {place}, {a.a_kind} called {a.name} opened {a.his} door and looked out.",
    "Nobody {place} got up as early as {a.name}, {a.a_kind}.",
)
TRAITS = (
    "{a.He} was not brave, but {a.he} was stubborn.",
    "{a.He} talked little and noticed everything.",
    "{a.He} had never in {a.his} life finished a thing on time.",
    "{a.He} kept a button in {a.his} pocket for luck.",
    "People said {a.he} could be trusted with anything except a secret.",
    "{a.He} hummed when {a.he} was happy and hummed louder when {a.he} was afraid.",
    "{a.He} had two good coats and lent both of them out.",
    "{a.He} liked small jobs, warm soup and long evenings.",
)
SETTINGS = (
    "The kettle was on, and the windows were white with steam.",
    "Somewhere a dog was barking at nothing.",
    "The roofs were dripping, and the gutters sang.",
    "A thin wind came down from the hills and smelled of smoke.",
    "The gulls had been quarrelling since dawn.",
    "Light lay on the floor like spilled milk.",
    "All the leaves had turned their pale sides up.",
)
WISHES = (
    "That day {a.he} had to {goal}.",
    "What {a.he} wanted, more than breakfast, was to {goal}.",
    "For a whole year {a.he} had meant to {goal}, and now {a.he} would.",
    "{a.He} had promised to {goal}, and {a.he} kept {a.his} promises.",
)
DEPARTURES = (
    "So {a.he} buttoned {a.his} coat and set out.",
    "{a.He} put bread in {a.his} bag, closed the door, and went.",
    "Before anyone could tell {a.him} not to, {a.he} was on the road.",
    '"I will be back by supper," {a.he} told the cat, and left.',
)
ERRANDS = (
    Errand(
        "the letter",
        "carry a letter to the lighthouse",
        "The letter was sealed with blue wax, and it was the first one in seven years.",
        "By evening {a.name} stood at the lighthouse and put the letter into the keeper's hand.",
    ),
    Errand(
        "the bell",
        "find the bell that had fallen from the tower",
        "Without it nobody knew when to stop working.",
        "Under a bush, green with moss, lay the bell, and {a.he} carried it home in both arms.",
    ),
    Errand(
        "the medicine",
        "fetch medicine from the doctor across the valley",
        "{a.His} grandmother had been coughing for three nights.",
        "The doctor was at home, and {a.name} ran back with the brown bottle wrapped in a sock.",
    ),
    Errand(
        "the blue stone",
        "bring back a blue stone from the far beach",
        "A sick child had asked for one, and there were none nearer.",
        "On the far beach the stones lay in thousands, and exactly one of them was blue.",
    ),
    Errand(
        "the goat",
        "look for the goat that had walked away",
        "It was a bad goat, but it was the only one they had.",
        "The goat was standing on a wall, chewing, as if it had waited all day for {a.him}.",
    ),
    Errand(
        "the seeds",
        "get seeds from the woman on the mountain",
        "The garden had been bare since the flood.",
        "The woman on the mountain filled {a.his} cap with seeds and asked for nothing but news.",
    ),
    Errand(
        "the fiddle",
        "return a borrowed fiddle to its owner",
        "There was to be a wedding, and a wedding needs music.",
        "{a.name} came to the wedding just as the guests sat down, and the fiddle was in tune.",
    ),
    Errand(
        "the lantern",
        "take a lantern to the ferry landing",
        "The boats came home in the dark and had nothing to steer by.",
        "{a.name} hung the lantern on its hook, and out on the water someone cheered.",
    ),
    Errand(
        "the map",
        "show an old map to the teacher in the next town",
        "It was drawn with a road that no one remembered.",
        "The teacher held the map up to the window for a long time and then began to laugh with joy.",
    ),
    Errand(
        "the egg",
        "bring a fallen egg back to its nest",
        "It was still warm, and speckled like rain on dust.",
        "{a.name} laid the egg beside the others, and the mother bird forgave the whole world at once.",
    ),
    Errand(
        "the key",
        "take the spare key to the aunt with the locked door",
        "The door had been shut since Tuesday, with the poor woman on the wrong side of it.",
        "The aunt was sitting on the step in the last of the light, and the key fitted.",
    ),
    Errand(
        "the honey",
        "deliver a jar of honey to the captain",
        "The captain sailed at dusk and would not sail without it.",
        "The gangplank was already moving when {a.name} put the honey into the captain's hands.",
    ),
)
OBSTACLES = (
    Obstacle(
        "flood",
        "But the river had come over its banks, and the bridge was gone.",
        "{a.He} threw in a stone to learn how deep it was, and heard no bottom.",
        '"Go up to the alders," {b.name} said. "The river is wide there, and wide means shallow."',
        "At the alders the water came only to {a.his} knees, and {a.he} crossed with {a.his} boots round {a.his} neck.",
    ),
    Obstacle(
        "gate",
        "But halfway there the road ended at a locked gate.",
        "{a.He} pulled it, pushed it and spoke to it kindly.",
        '"That gate opens inward," {b.name} said, "and it has never been locked. It only wants to be lifted."',
        "{a.name} lifted the gate a finger's width, and it swung open without a sound.",
    ),
    Obstacle(
        "fog",
        "But a fog came down so thick that {a.he} could not see {a.his} own hands.",
        "{a.He} walked in a circle and met {a.his} own footprints.",
        '"Listen," {b.name} said. "The sea is always on your left. Keep it there."',
        "So {a.name} shut {a.his} eyes and walked by ear, and the fog could do nothing about it.",
    ),
    Obstacle(
        "dog",
        "But a great black dog lay across the path and showed its teeth.",
        "{a.He} offered it bread, and it ate the bread and stayed where it was.",
        '"He has a thorn in his paw," {b.name} said. "Nobody has come near enough to see."',
        "{a.name} knelt, talked nonsense in a low voice, and drew out the thorn, and the dog followed {a.him} the rest of the way.",
    ),
    Obstacle(
        "hill",
        "But the hill was steep and covered with ice.",
        "Three times {a.he} climbed, and three times {a.he} slid down to the bottom.",
        '"Pull your socks over your boots," {b.name} said. "Wool holds where leather slips."',
        "With {a.his} socks outside {a.his} boots, {a.name} went up the ice like a fly up a wall.",
    ),
    Obstacle(
        "dark",
        "But night fell early in the wood, and {a.he} had no light.",
        "Every tree became the same tree.",
        '"Wait for the moon," {b.name} said. "It is never as late as you think."',
        "They waited, and the moon came up over the branches and laid a white road between them.",
    ),
    Obstacle(
        "crossroads",
        "But the signpost at the crossroads had blown down, and its four arms pointed at the sky.",
        "{a.He} tried to remember, and remembered four different things.",
        '"You know where you came from," {b.name} said. "Turn that arm toward home, and the others will be right."',
        "{a.name} set up the post with one arm toward home, and read the way from the other three.",
    ),
    Obstacle(
        "storm",
        "But the wind grew until {a.he} had to hold on to a fence.",
        "{a.He} took one step forward and was blown two steps back.",
        '"Do not fight it," {b.name} said. "Walk behind my wall, then behind the hedge, then behind the barn."',
        "From wall to hedge and from hedge to barn {a.name} went, and the wind looked for {a.him} in vain.",
    ),
    Obstacle(
        "toll",
        "But a toll keeper stopped {a.him} and asked for a silver coin, and {a.he} had none.",
        "{a.He} turned out {a.his} pockets and found a string, a nut and a button.",
        '"Tell him a story he has not heard," {b.name} said. "He is only bored."',
        "{a.name} told the toll keeper about the day the goose was elected mayor, and he laughed so hard that he forgot the coin.",
    ),
    Obstacle(
        "shoe",
        "But the sole of {a.his} left shoe came off and lay in the road like a tongue.",
        "{a.He} hopped for a while, and then {a.he} sat down.",
        '"Birch bark and string," {b.name} said. "I have walked to the coast on less."',
        "They bound the shoe with bark and string, and it squeaked, and it held.",
    ),
)
FAILURES = (
    "{a.name} stopped and thought.",
    '"Well," said {a.name}, "that is that."',
    "{a.name} felt {a.his} heart sink.",
    "For a moment {a.name} wanted to go home.",
    '"Not today," {a.name} said. "Please, not today."',
)
MEETINGS = (
    "Just then {b.name} came along, {b.a_kind} with all the time in the world.",
    "A voice behind {a.him} coughed. It was {b.name}, {b.a_kind}.",
    "Someone was sitting on a stone nearby and had seen it all: {b.name}, {b.a_kind}.",
    "Along the path came {b.a_kind} whose name was {b.name}.",
)
ASKS = (
    '"You look like someone with a problem," said {b.name}.',
    '"Where are you going in such a hurry?" {b.he} asked.',
    '"Have you been here long?" {b.he} asked, and {a.name} told {b.him} everything.',
    '"I could help," {b.he} said, "if you wanted help."',
)
ANSWERS = (
    '"Is it so simple?" asked {a.name}.',
    "{a.name} looked at {b.him} and did not know what to say.",
    '"I never thought of that," {a.name} admitted.',
    '"And if it does not work?" asked {a.name}. "Then we will think again," said {b.name}.',
    "{a.name} nodded slowly.",
)
THANKS = (
    '"You came," was all anybody said, but it was enough.',
    "There was soup afterward, and a chair near the fire.",
    "{a.name} thought of {b.name} and wished {b.he} could see it.",
    "On the way back {a.he} met {b.name} again, and they shared an apple.",
    "Nobody asked how hard it had been, and {a.he} did not tell them.",
)
ENDINGS = (
    "That night {a.name} slept without dreaming.",
    "And from that day on, {a.name} and {b.name} were friends.",
    "The next morning it all began again, and {a.name} did not mind.",
    "People still tell the story there, though they get the names wrong.",
    '"Tomorrow," said {a.name}, "I shall do nothing at all." But {a.he} did.',
    "Outside it had begun to rain, softly, as if it were sorry.",
    "Ever after, {a.name} left {a.his} door a little open.",
    "It was a small thing, and {a.he} remembered it all {a.his} life.",
    "And the button in the drawer, if nobody has moved it, is there still.",
    "{b.name} never spoke of it, but {b.he} smiled whenever {a.name} passed.",
)
PLANS = (
    "{a.He} had decided to make {thing}.",
    '"I am going to make {thing}," {a.he} announced to the empty room.',
    "All winter {a.he} had dreamed of making {thing}.",
    "There was only one thing to do, and that was to make {thing}.",
)
WORKS = (
    Work(
        "a kite",
        "paper and willow",
        "It should be red, and fly higher than the church.",
        "{a.He} bent the willow, cut the paper and glued one to the other with flour and water.",
        "The kite leapt out of {a.his} hands and climbed until it was a red dot.",
    ),
    Work(
        "a boat",
        "planks and tar",
        "It should carry one person and a cat.",
        "{a.He} sawed planks, bent them over steam and filled the seams with tar.",
        "The boat slid into the water and floated like a duck.",
    ),
    Work(
        "a cake",
        "flour and plums",
        "It should have three layers, one for each year {a.he} had lived alone.",
        "{a.He} sifted flour, stoned plums and beat the eggs until {a.his} arm ached.",
        "The cake came out high and brown, and its smell went down the street by itself.",
    ),
    Work(
        "a quilt",
        "old shirts",
        "It should hold a piece of everyone {a.he} had loved.",
        "{a.He} cut the old shirts into squares and laid them on the floor like fields.",
        "The quilt covered the bed and touched the floor on both sides.",
    ),
    Work(
        "a clock",
        "brass and springs",
        "It should tell the hour by singing.",
        "{a.He} filed the wheels, oiled the springs and hung the little hammers.",
        "At noon the clock cleared its throat and sang twelve notes, one of them right.",
    ),
    Work(
        "a flute",
        "elder wood",
        "It should sound like water.",
        "{a.He} hollowed the elder branch and burned seven holes in it.",
        "The flute gave one low note, and every bird in the hedge was silent.",
    ),
    Work(
        "a garden",
        "stones and seedlings",
        "It should be green by midsummer.",
        "{a.He} carried away the stones and set the seedlings in rows.",
        "In June the beans climbed over the wall to see the road.",
    ),
    Work(
        "a puppet",
        "linden wood and thread",
        "It should bow, dance and look surprised.",
        "{a.He} carved the head, jointed the knees and tied eleven threads.",
        "The puppet bowed, danced three steps, and looked very surprised indeed.",
    ),
    Work(
        "a bridge",
        "rope and ash boards",
        "It should reach from {a.his} bank to the other.",
        "{a.He} knotted the ropes, tested them with {a.his} weight and laid the boards.",
        "The bridge swayed and creaked and carried them both across.",
    ),
    Work(
        "a hat",
        "felt and feathers",
        "It should be worn at the harvest feast.",
        "{a.He} steamed the felt, shaped it over a bowl and sewed on the feathers.",
        "The hat was so fine that people bowed to it before they saw who was under it.",
    ),
    Work(
        "a snow house",
        "blocks of snow",
        "It should be big enough for two.",
        "{a.He} cut the blocks with a bread knife and set them in a ring.",
        "Inside it was blue and quiet, and a candle was enough to warm it.",
    ),
    Work(
        "a story",
        "ink and old paper",
        "It should make {a.his} grandfather laugh.",
        "{a.He} wrote a line, crossed it out, and wrote it again in the same words.",
        "When {a.he} read it aloud, {a.his} grandfather laughed in all the wrong places and one right one.",
    ),
)
TROUBLES = (
    Trouble(
        "breaks",
        "Then, with a sound like a sigh, it broke in the middle.",
        '"Good," said {b.name}. "Now you know where it was weak."',
        "They began at the weak place and made that the strongest.",
    ),
    Trouble(
        "runs out",
        "Then {a.he} reached into the basket, and there was no more {stuff}.",
        '"I have some," said {b.name}. "It is the wrong color, but it is yours."',
        "With what {b.name} brought, {a.he} had just enough, and the wrong color was the best part.",
    ),
    Trouble(
        "mockery",
        "Then three neighbors came by and laughed until they had to hold each other up.",
        '"They laughed at mine too," said {b.name}, "and then they asked to borrow it."',
        "{a.name} turned {a.his} back to the road and went on working.",
    ),
    Trouble(
        "rain",
        "Then it rained for two days, and everything {a.he} had made was ruined.",
        '"What did the rain teach you?" asked {b.name}. "To build a roof first," said {a.name}.',
        "They put up a roof of old sails and started again under it.",
    ),
    Trouble(
        "too big",
        "Then {a.he} stepped back and saw that it was much too large to go through the door.",
        '"Which do you need more," asked {b.name}, "that thing or that door?"',
        "They took out the door, and afterward they put it back, nearly straight.",
    ),
    Trouble(
        "doubt",
        "Then one evening {a.he} looked at it and saw nothing but mistakes.",
        '"I see them too," said {b.name}. "They are the places where I can tell it is yours."',
        "{a.name} mended two of the mistakes and kept the rest.",
    ),
    Trouble(
        "hurt hand",
        "Then the knife slipped, and {a.he} had to sit with {a.his} hand in a cloth.",
        '"Tell me what to do," said {b.name}. "I have two hands and no ideas."',
        "{a.name} gave the orders and {b.name} did the work, and neither knew afterward who had done what.",
    ),
    Trouble(
        "thief",
        "Then, in the night, a magpie stole the smallest and most important piece.",
        '"A magpie will trade," said {b.name}. "Give it something that shines more."',
        "They left a spoon on the wall, and in the morning the piece lay in its place.",
    ),
)
DISMAY = (
    "{a.name} sat down on the floor.",
    "{a.He} did not shout. {a.He} went very quiet.",
    '"Of course," said {a.name}. "Of course."',
    "{a.He} kicked the bucket, and then {a.he} apologized to it.",
    "{a.He} put on {a.his} coat and took it off again.",
)
VISITS = (
    "Toward evening {b.name} looked in. {b.He} was {b.a_kind} and lived next door.",
    'There was a knock. "It is only me," said {b.name}, {b.a_kind} who never stayed long.',
    "{b.name}, {b.a_kind} and an old friend, leaned over the fence.",
    "The door opened and in came {b.name}, {b.a_kind}, shaking the water from {b.his} ears.",
)
PRIDE = (
    "{a.name} could not stop looking at it.",
    '"We made that," said {b.name}. "We did," said {a.name}.',
    "Even the neighbors came to see, and for once they had nothing to say.",
    "{a.name} gave {b.name} the first turn.",
    "It was not perfect, and nobody cared.",
)
FRIENDSHIPS = (
    "{a.His} best friend was {b.name}, {b.a_kind}, and they did everything together.",
    "Every day {a.he} had tea with {b.name}, {b.a_kind}, at the same table.",
    "There was no one {a.he} liked better than {b.name}, {b.a_kind} with a loud laugh.",
)
CAUSES = (
    Cause(
        "the blue cup",
        "One afternoon {b.name} dropped {a.name}'s blue cup, the one with the ship on it.",
        "They glued the cup together, and the ship had a scar on its sail.",
    ),
    Cause(
        "the race",
        "One day they ran a race to the oak, and each of them was sure of having won.",
        "They ran the race again, holding hands, and it was a tie.",
    ),
    Cause(
        "the secret",
        "One market day {a.name} heard {a.his} own secret told by a stranger, and only {b.name} had known it.",
        "{b.name} told {a.him} a secret in return, so that they were even.",
    ),
    Cause(
        "the last pear",
        "There was one pear left on the tree, and when {a.name} came to pick it, {b.name} was wiping {b.his} chin.",
        "They planted the pear's seeds by the gate and agreed to wait.",
    ),
    Cause(
        "the borrowed coat",
        "{b.name} had borrowed {a.name}'s coat and brought it back without its buttons.",
        "They sewed on new buttons, each of a different color.",
    ),
    Cause(
        "the birthday",
        "{a.name}'s birthday came and went, and {b.name} did not say a word about it.",
        "They had the birthday nine days late, with all the candles.",
    ),
    Cause(
        "the song",
        "At the feast {b.name} sang the song that {a.name} had written, and everybody praised {b.name}.",
        "They sang the song together that night, and {b.name} told everyone whose it was.",
    ),
    Cause(
        "the net",
        "{b.name} forgot to tie up {a.name}'s net, and the tide took it.",
        "They knotted a new net in the evenings, one starting at each end.",
    ),
    Cause(
        "the wall",
        "{b.name} built a wall, and it stood one step inside {a.name}'s field.",
        "They made a hole in the wall, just wide enough for a friend.",
    ),
    Cause(
        "the joke",
        "{b.name} made a joke about {a.name}'s ears, and the whole table roared.",
        "{b.name} wore a pair of paper ears for a week, and after that it was funny.",
    ),
)
REPAIRS = (
    Repair(
        "soup",
        "On the fourth day {a.name} cooked too much soup, on purpose, and carried the pot next door.",
    ),
    Repair(
        "letter",
        "On the third night {a.name} wrote a letter, tore it up, and put the pieces under {b.name}'s door.",
    ),
    Repair(
        "lamp",
        "That evening {b.name} set a lamp in {b.his} window, as {b.he} used to do, and {a.name} saw it.",
    ),
    Repair(
        "storm",
        "Then a storm took half of {b.name}'s roof, and {a.name} was there with a ladder before the rain was.",
    ),
    Repair(
        "path",
        "In the night it snowed, and in the morning someone had cleared a path from one door to the other.",
    ),
    Repair(
        "fever",
        "Then {a.name} fell ill, and when {a.he} woke, {b.name} was asleep on the chair beside {a.him}.",
    ),
    Repair(
        "cat",
        "Then {a.name}'s cat had kittens, and every one of them went to live on {b.name}'s step.",
    ),
    Repair(
        "bench",
        "On Sunday both of them came to the bench by the water, each hoping that the other would not.",
    ),
)
ACCUSATIONS = (
    '"How could you?" cried {a.name}.',
    '"You might at least say something," said {a.name}.',
    '"I would never have done that to you," said {a.name}.',
    "{a.name} said a number of things, and some of them were true.",
)
RETORTS = (
    '"It is not my fault," said {b.name}, and {b.his} face was red.',
    '"You always think the worst of me," said {b.name}.',
    '"What a fuss," said {b.name}, but {b.he} would not look up.',
    "{b.name} opened {b.his} mouth, closed it, and went away.",
)
PARTINGS = (
    "A door banged, and then another.",
    "After that they did not speak.",
    "They went home by different roads, though there was only one road.",
    "That night there were two lights in two kitchens, and nobody at either table was hungry.",
)
LONELY = (
    "The days were long.",
    "{a.name} laid two plates from habit and put one back.",
    "Nothing was funny, because there was nobody to tell it to.",
    "{a.name} won every game of cards, since {a.he} was playing alone.",
)
THOUGHTS = (
    "{a.He} thought of what {a.he} had said and wished {a.he} had said half of it.",
    '"I am right," {a.he} told the wall, and the wall agreed, and it was no comfort.',
    "Perhaps, {a.he} thought, being right was not so very much.",
    "{a.He} knew that somebody had to begin.",
)
SORRIES = (
    '"I am sorry," said {b.name}. "So am I," said {a.name}.',
    "They both began to speak at once, and both of them stopped.",
    '"I have been a fool," said {b.name}. "There were two of us," said {a.name}.',
    "For a while they said nothing, and it was the good kind of nothing.",
)
FORGIVEN = (
    "Then they laughed, and it was over.",
    "{b.name} held out {b.his} hand, and {a.name} took it.",
    '"Come in," said {a.name}. "You are letting the cold in."',
    "Something that had been tight for days came loose.",
)
SOUNDS = (
    "a slow knocking",
    "a thin whistle",
    "a scratching behind the wall",
    "a sound like someone weeping",
    "soft steps on the roof",
    "a clinking of glass",
    "a long low hum",
    "a rattle like bones in a box",
    "three taps, and then three taps again",
    "a voice that said one word",
)
NIGHTS = (
    "One night {a.he} woke and heard {thing}.",
    "Just after midnight there came {thing}.",
    "It was on the longest night of the year that {a.he} first heard {thing}.",
    "The candle was out and the house was asleep when {a.he} heard {thing}.",
)
FEARS = (
    "{a.name} pulled the blanket over {a.his} head.",
    "{a.name} lay still and counted to a hundred.",
    '"It is the wind," {a.name} whispered, but there was no wind.',
    "{a.His} heart was beating so loudly that {a.he} could hardly hear anything else.",
)
WAKING = (
    "In the end {a.he} went and woke {b.name}, {b.a_kind} who rented the room upstairs.",
    "{a.He} crept across the yard to {b.name}, {b.a_kind}, and shook {b.him} by the shoulder.",
    "On the stairs {a.he} ran into {b.name}, {b.a_kind}, who had heard it too.",
)
GUESSES = (
    '"A ghost," said {b.name} at once. "Or a badger with a grudge."',
    '"Perhaps it is a thief," said {b.name}, "a very bad one."',
    '"I am not afraid," said {b.name}, holding {a.name}\'s sleeve.',
    '"Whatever it is," {b.name} whispered, "it is smaller than it sounds. It always is."',
)
SEARCHES = (
    "They took a lantern and a broom and went to look.",
    "They went down the stairs, first {a.name}, then {b.name}, then the cat.",
    "{b.name} carried the poker, and {a.name} carried the light.",
)
STEPS = (
    "In the kitchen there was nothing. In the hall there was nothing. Then they heard it again, quite near.",
    "Each stair complained under them.",
    '"You first," said {b.name}. "You are taller," said {a.name}, which was not true.',
    "The light shook, and all the shadows shook with it.",
)
NOISE_SOURCES = (
    NoiseSource(
        "owl",
        "On the beam above the door sat a young owl, as frightened as they were.",
        "They opened the window, and it went out without a word of thanks.",
    ),
    NoiseSource(
        "shutter",
        "It was a loose shutter, hanging by one nail.",
        "{a.name} fixed it with a string and a spoon, and it never spoke again.",
    ),
    NoiseSource(
        "hedgehog",
        "In the pantry a hedgehog had put its head into a jar and could not get it out.",
        "They freed it, and it finished the jam before it left.",
    ),
    NoiseSource(
        "neighbor",
        "Outside stood their neighbor in her nightgown, looking for her key.",
        "They gave her tea, and she stayed until it was light.",
    ),
    NoiseSource(
        "stove",
        "It was the old stove, cooling and muttering to itself.",
        "{b.name} patted it as one pats a horse.",
    ),
    NoiseSource(
        "child",
        "Under the table was a small child who had walked out of the next house in his sleep.",
        "They carried him home between them, and he never woke.",
    ),
    NoiseSource(
        "music box",
        "At the bottom of a chest a music box was trying to play, after forty years, the end of its tune.",
        "They wound it up, and it told them the rest.",
    ),
    NoiseSource(
        "mice",
        "Four mice were rolling a walnut along the floor, and they looked very busy.",
        "{a.name} and {b.name} stepped over them politely and went back to bed.",
    ),
    NoiseSource(
        "pump",
        "In the yard the pump was dripping into a tin pail.",
        "{a.name} moved the pail an inch, and the night was silent.",
    ),
    NoiseSource(
        "goose",
        "A goose had come in by the cellar door and was walking up and down like a sentry.",
        "They gave it the post of night watchman, and it took its duty seriously.",
    ),
)
RELIEF = (
    "They looked at each other and began to laugh.",
    '"Well," said {b.name}, "I was nearly right."',
    "{a.name} let out a breath that {a.he} had been holding since the stairs.",
    '"We shall tell no one," said {a.name}. "No one," said {b.name}, who told everyone.',
)
